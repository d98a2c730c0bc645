/**
 * One process of the simulated machine: a clock that only the simulation moves, a disk that answers late, fails and
 * fills up, and an end after which nothing of the process is heard of any more.
 *
 * Everything random comes from one seed, and turns of the event loop are the only order there is, so a run can be
 * repeated exactly.
 */
import type { Clock, Timer } from '../../src/base/clock.ts'
import type { File, Files } from '../../src/base/files.ts'
import type { SeededRandom } from '../../src/base/random.ts'
import { CrashStates, type Fate } from '../support/crash-states.ts'
import { type Call, type DiskImage, SimulatedFiles } from '../support/simulated-files.ts'

/** Milliseconds that one turn of the event loop takes at most. */
const turnMsMax = 20

export class SimulatedClock implements Clock {
  readonly #random: SeededRandom
  /** Hears of what a callback throws: in a real process that would be its end. */
  readonly #threw: (error: unknown) => void
  #ms = 1_700_000_000_000
  #timers: { due: number; callback: () => void }[] = []
  isStopped = false

  constructor(random: SeededRandom, threw: (error: unknown) => void) {
    this.#random = random
    this.#threw = threw
  }

  now(): number {
    return Math.floor(this.#ms)
  }

  /** Looking at the clock takes time, and now and then more: so slices of work end in the middle of something. */
  monotonic(): number {
    this.#ms += this.#random.below(50) === 0 ? 2 : 0.01
    return this.#ms
  }

  after(ms: number, callback: () => void): Timer {
    const timer = { due: this.#ms + ms, callback }
    this.#timers.push(timer)
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer)
      },
    }
  }

  soon(callback: () => void): void {
    setImmediate(() => this.#call(callback))
  }

  /** Moves time on by the length of a turn, or by what is given, and runs what falls due. */
  pass(ms = this.#random.next() * turnMsMax): void {
    this.#ms += ms
    const due = this.#timers.filter((timer) => timer.due <= this.#ms)
    if (due.length === 0 || this.isStopped) return
    this.#timers = this.#timers.filter((timer) => timer.due > this.#ms)
    for (const timer of due.sort((a, b) => a.due - b.due)) this.#call(timer.callback)
  }

  #call(callback: () => void): void {
    if (this.isStopped) return
    try {
      callback()
    } catch (error) {
      this.#threw(new Error('a callback of the clock threw', { cause: error }))
    }
  }
}

export interface Faults {
  /** Fails the next call of the kind on a path with this ending, once. */
  failNext: { kind: Call['kind']; ending: string; code: string } | null
}

/** Files of a process: calls take some turns, and none ends once the process has ended. */
export class ProcessFiles implements Files {
  readonly disk: SimulatedFiles
  readonly faults: Faults = { failNext: null }
  readonly #random: SeededRandom
  readonly #turnsMax: number
  isStopped = false
  faultsDone = 0

  constructor(image: DiskImage, random: SeededRandom, turnsMax: number) {
    this.#random = random
    this.#turnsMax = turnsMax
    this.disk = new SimulatedFiles({ image, fault: (call) => this.#fault(call) })
  }

  #fault(call: Call): string | null {
    const { failNext } = this.faults
    if (failNext === null || failNext.kind !== call.kind || !call.path.endsWith(failNext.ending)) return null
    this.faults.failNext = null
    this.faultsDone++
    return failNext.code
  }

  makeDirectory(path: string): Promise<void> {
    return this.#late(() => this.disk.makeDirectory(path))
  }

  list(path: string): Promise<string[]> {
    return this.#late(() => this.disk.list(path))
  }

  async open(path: string, mode: 'read' | 'write' | 'create', options?: { isSynced?: boolean }): Promise<File> {
    const file = await this.#late(() => this.disk.open(path, mode, options))
    return {
      size: () => this.#late(() => file.size()),
      read: (into, at, length, position) => this.#late(() => file.read(into, at, length, position)),
      write: (from, at, length, position) => this.#late(() => file.write(from, at, length, position)),
      sync: () => this.#late(() => file.sync()),
      truncate: (size) => this.#late(() => file.truncate(size)),
      close: () => this.#late(() => file.close()),
    }
  }

  rename(from: string, to: string): Promise<void> {
    return this.#late(() => this.disk.rename(from, to))
  }

  remove(path: string): Promise<void> {
    return this.#late(() => this.disk.remove(path))
  }

  removeDirectory(path: string): Promise<void> {
    return this.#late(() => this.disk.removeDirectory(path))
  }

  syncDirectory(path: string): Promise<void> {
    return this.#late(() => this.disk.syncDirectory(path))
  }

  freeBytes(path: string): Promise<number> {
    return this.#late(() => this.disk.freeBytes(path))
  }

  /** A call begins at once and its end is heard of some turns later. */
  async #late<T>(call: () => Promise<T>): Promise<T> {
    if (this.isStopped) return never()
    let result: T
    try {
      result = await call()
    } finally {
      for (let left = this.#random.below(this.#turnsMax + 1); left > 0; left--) await turn()
      if (this.isStopped) await never()
    }
    return result
  }

  /** The disk as a crash at this moment leaves it. */
  crashImage(random: SeededRandom): DiskImage {
    const states = new CrashStates(this.disk.journal)
    while (states.step() !== null);
    return states.image(fateOf(random), random)
  }
}

function fateOf(random: SeededRandom): (change: { type: string }) => Fate {
  switch (random.below(4)) {
    case 0:
      return () => 'drop'
    case 1:
      return () => 'keep'
    case 2:
      return () => (random.below(2) === 0 ? 'keep' : 'drop')
    default:
      return (change) => {
        if (change.type !== 'write') return random.below(2) === 0 ? 'keep' : 'drop'
        const kind = random.below(4)
        return kind === 0 ? 'keep' : kind === 1 ? 'drop' : kind === 2 ? 'sectors' : random.below(70_000)
      }
  }
}

function never<T>(): Promise<T> {
  return new Promise<T>(() => {})
}

/** The end of this turn of the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
