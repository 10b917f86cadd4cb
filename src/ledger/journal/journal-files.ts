/** The file operations of the journal, as an argument: tests give it disks that are full or fail. None blocks the event loop. */
import { type FileHandle, open, rm } from "node:fs/promises";
import { dirname } from "node:path";

export interface JournalFile {
  write(bytes: Buffer, position: number): Promise<void>;
  /** Resolves when what was written survives a loss of power. */
  sync(): Promise<void>;
  truncate(bytes: number): Promise<void>;
  close(): Promise<void>;
}

export interface JournalFiles {
  /** A new file. Its name survives a loss of power where `durable`. */
  create(path: string, durable: boolean): Promise<JournalFile>;
  remove(path: string): Promise<void>;
}

export const nodeJournalFiles: JournalFiles = {
  async create(path, durable) {
    const handle = await open(path, "w", 0o600);
    if (durable) await syncDirectory(dirname(path));
    return new NodeFile(handle);
  },
  remove: (path) => rm(path, { force: true }),
};

class NodeFile implements JournalFile {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async write(bytes: Buffer, position: number): Promise<void> {
    // A write may take less than it was given, for example just before the disk is full.
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, position + done);
      done += bytesWritten;
    }
  }

  sync(): Promise<void> {
    return this.#handle.datasync();
  }

  truncate(bytes: number): Promise<void> {
    return this.#handle.truncate(bytes);
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
