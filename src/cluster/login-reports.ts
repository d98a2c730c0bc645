/**
 * What each node tells the others of logins to the dashboard: keys and what was ended, all of it when a link comes up, then
 * what is new, also what it has just been told itself. So it comes to every node that anybody reaches, and a node knows what
 * was ended before it knows, from the same one, the key by which that could be used.
 */
import { ByteReader } from '../amqp/byte-reader.ts'
import type { ByteWriter } from '../amqp/byte-writer.ts'
import {
  type EndedLogin,
  keyIdBytes,
  type LedgerListener,
  type LoginLedger,
  loginIdBytes,
  type SealKey,
  seedBytes,
} from '../broker/access/login-ledger.ts'
import { type ManagementLink, type ToldHandler, toldBytesMax } from './management-link.ts'
import type { Peer } from './peers.ts'

const kinds = { key: 1, ended: 2, endedUntil: 3 } as const

export class LoginReports implements ToldHandler, LedgerListener {
  readonly #link: ManagementLink
  readonly #ledger: LoginLedger
  readonly #reader = new ByteReader()

  /** Before the links start. */
  constructor(link: ManagementLink, ledger: LoginLedger) {
    this.#link = link
    this.#ledger = ledger
    link.hear('logins', this)
    ledger.hear(this)
  }

  // ---------------------------------------------------------------- out

  up(peer: Peer): void {
    const { ended, endedUntil, keys } = this.#ledger
    const writer = this.#link.writer('logins')
    writer.uint8(kinds.endedUntil)
    writer.uint64(endedUntil)
    for (const login of ended) {
      writeEnded(writer, login)
      if (writer.length < toldBytesMax - entryBytesMax) continue
      this.#link.tell(peer, writer)
      this.#link.begin(writer, 'logins')
    }
    for (const key of keys) writeKey(writer, key)
    this.#link.tell(peer, writer)
  }

  keyLearned(key: SealKey): void {
    this.#tellAll((writer) => writeKey(writer, key))
  }

  loginEnded(login: EndedLogin): void {
    this.#tellAll((writer) => writeEnded(writer, login))
  }

  #tellAll(write: (writer: ByteWriter) => void): void {
    const writer = this.#link.writer('logins')
    write(writer)
    for (const peer of this.#link.peers) if (peer.isUp) this.#link.tell(peer, writer)
  }

  // ---------------------------------------------------------------- in

  told(_peer: Peer, bytes: Uint8Array, start: number, end: number): void {
    const ledger = this.#ledger
    const reader = this.#reader.reset(bytes, start, end)
    while (reader.remaining > 0) {
      const kind = reader.uint8()
      if (kind === kinds.endedUntil) ledger.endUntil(reader.uint64())
      else if (kind === kinds.ended) {
        const id = take(reader, loginIdBytes)
        ledger.end({ id, begunAt: reader.uint64(), until: reader.uint64() })
      } else if (kind === kinds.key) {
        const [id, seed] = [take(reader, keyIdBytes), take(reader, seedBytes)]
        ledger.learnKey(id, seed, reader.uint64())
        // Of a later version, and of unknown length.
      } else return
    }
  }

  /** What it said still counts. */
  down(): void {}
}

/** Of all keys together, and a little more. */
const entryBytesMax = 8 * 1024

function writeKey(writer: ByteWriter, { id, seed, madeAt }: SealKey): void {
  writer.uint8(kinds.key)
  writer.bytes(id)
  writer.bytes(seed)
  writer.uint64(madeAt)
}

function writeEnded(writer: ByteWriter, { id, begunAt, until }: EndedLogin): void {
  writer.uint8(kinds.ended)
  writer.bytes(id)
  writer.uint64(begunAt)
  writer.uint64(until)
}

/** A copy: what is told is valid during the call only. */
function take(reader: ByteReader, length: number): Uint8Array {
  const at = reader.take(length)
  return reader.buffer.slice(at, at + length)
}
