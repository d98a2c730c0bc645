/** Large bodies that clients of this node send to a shard: each begins where the shard is then, and is kept where it may be elsewhere by its publish. */
import type { BodyWriter } from '../../broker/ports.ts'
import { CarriedBody, type CarriedBytes } from './carried-body.ts'
import { HeldBody } from './held-body.ts'
import type { LocalShard } from './ports.ts'

export class BodyWriters {
  readonly #carried: CarriedBytes
  #next = 1

  constructor(carried: CarriedBytes) {
    this.#carried = carried
  }

  /** Of a body that is kept until its publish, for a shard that is not served here. */
  held(isPersistent: boolean, bodyBytes: number): BodyWriter {
    return new HeldBody(this.#next++, isPersistent, bodyBytes)
  }

  /** Of one that is written to a shard here. Where there is no room to keep it besides, a change of owner refuses its publish. */
  carried(local: LocalShard, written: BodyWriter, isPersistent: boolean, bodyBytes: number): BodyWriter {
    if (!this.#carried.hasRoomFor(bodyBytes)) return written
    return new CarriedBody(local, written, new HeldBody(this.#next++, isPersistent, bodyBytes), this.#carried)
  }
}
