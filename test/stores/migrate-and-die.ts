/** A program that is killed in the middle of its migrations: `ENGINE DATA_DIR DATABASE_URL STATEMENT`, before which it dies. */
import { Secret } from "../../src/core/secret.ts";
import type { Database, Transaction } from "../../src/stores/database.ts";
import { migrate } from "../../src/stores/migrations/migrate.ts";
import { databaseFile } from "../../src/stores/open-database.ts";
import { openPostgres } from "../../src/stores/postgres/postgres-database.ts";
import { openSqlite } from "../../src/stores/sqlite/sqlite-database.ts";

const [, , engine, dataDir = "", url = "", statement] = process.argv;
const database = engine === "postgres" ? openPostgres({ url: new Secret(url) }) : openSqlite({ file: databaseFile(dataDir) });
let count = 0;

const dying: Database = {
  ...database,
  transaction: (tenant, work) =>
    database.transaction(tenant, (transaction) => {
      const counted: Transaction = {
        run(sql, values) {
          if (++count === Number(statement)) process.kill(process.pid, "SIGKILL");
          return transaction.run(sql, values);
        },
      };
      return work(counted);
    }),
};

await migrate(dying, () => 0);
await database.close();
