import { readImportFile } from "../access/import-file.ts";
import { KeyAdministration } from "../access/key-administration.ts";
import type { Peppers } from "../access/pepper.ts";
import { openPeppers, rotatePepperFile } from "../access/pepper-file.ts";
import type { Config } from "../config/schema.ts";
import { systemClock } from "../core/clock.ts";
import type { Logger } from "../core/log.ts";
import type { Stores } from "../core/stores.ts";
import { databasePlace, openStores } from "./open-stores.ts";

export { lockKeyFile } from "../access/key-file.ts";

export interface KeyTools {
  readonly stores: Stores;
  readonly administration: KeyAdministration;
  /** Keys of a file that another gateway wrote, or of a key file. Throws KeyFileError. */
  readonly readImportFile: typeof readImportFile;
  /** Throws StartError where there is none and none can be made. */
  peppers(): Peppers;
  /** Makes another pepper in the data directory. Throws StartError. */
  rotatePepper(): ReturnType<typeof rotatePepperFile>;
  close(): Promise<void>;
}

/**
 * Keys without the gateway: for the command line, beside a gateway that runs or before the first one does. Records go where
 * the configuration says, and into a file where it says nothing: what is in the memory of a command is gone with it.
 */
export async function openKeyTools(config: Config, log: Logger): Promise<KeyTools> {
  const place = databasePlace(config);
  const durable = place.engine === "memory" ? { ...config, stores: { ...config.stores, engine: "sqlite" as const } } : config;
  const stores = await openStores(durable, log);
  let opened: Peppers | undefined;
  const peppers = () => (opened ??= openPeppers(config.auth, config.data_dir));
  const administration = new KeyAdministration({ ...stores, pepper: () => peppers().current, clock: systemClock });
  return {
    stores,
    administration,
    readImportFile,
    peppers,
    rotatePepper: () => rotatePepperFile(config.data_dir),
    close: () => stores.close(),
  };
}
