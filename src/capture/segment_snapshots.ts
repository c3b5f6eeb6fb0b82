/**
 * Keeps the content that a segment was given, as long as a result that was left out could still be asked for.
 *
 * A cell stands for the content of a storage between two writes. Until the next write it costs nothing; then the old content is copied into the cell,
 * and the segments that needed it keep all their results from then on, so that the copy is made once and not at each call.
 */
import { type Device, InternalError } from "../core/mod.ts";
import { deviceMemory, Storage, type StorageWatch } from "../tensor/mod.ts";

/** Somebody who relies on a cell. */
export interface SnapshotUser {
  /** Called when the cell had to copy. */
  keepAll(): void;
}

/** The content of a storage as it is now. */
export class SnapshotCell implements StorageWatch {
  #storage: Storage;
  readonly #device: Device;
  readonly users: Set<SnapshotUser> = new Set();

  constructor(storage: Storage, device: Device) {
    this.#storage = storage;
    this.#device = device;
  }

  /** A storage with the content that the cell stands for. */
  current(): Storage {
    return this.#storage;
  }

  beforeWrite(storage: Storage): void {
    storage.watch = null;
    for (const user of this.users) user.keepAll();
    const { buffer } = storage;
    if (buffer === null) throw new InternalError("a storage without memory is about to be written");
    const memory = deviceMemory(this.#device);
    const copy = memory.allocate(this.#device, buffer.byteLength);
    if (memory.copy === undefined) memory.write(copy, 0, memory.readSync(buffer, 0, buffer.byteLength));
    else memory.copy(copy, 0, buffer, 0, buffer.byteLength);
    this.#storage = new Storage(copy);
  }
}

/** The cell of what a storage holds now. */
export function snapshotOf(storage: Storage, device: Device, user: SnapshotUser): SnapshotCell {
  const { watch } = storage;
  const cell = watch instanceof SnapshotCell ? watch : new SnapshotCell(storage, device);
  storage.watch = cell;
  cell.users.add(user);
  return cell;
}
