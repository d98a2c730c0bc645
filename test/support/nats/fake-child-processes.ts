import type {
  ChildCommand,
  ChildEnd,
  ChildEvents,
  ChildProcess,
  ChildProcesses,
  ChildSignal,
  OrphanRules,
  ProgramOutput,
} from '../../../src/base/child-processes.ts'

/** A child that does as the test says. */
export class FakeChild implements ChildProcess {
  readonly pid: number
  readonly command: ChildCommand
  readonly signals: ChildSignal[] = []
  readonly #events: ChildEvents
  /** What a signal does to it, besides being noted. */
  onSignal: (name: ChildSignal) => void = () => {}

  constructor(pid: number, command: ChildCommand, events: ChildEvents) {
    this.pid = pid
    this.command = command
    this.#events = events
  }

  signal(name: ChildSignal): void {
    this.signals.push(name)
    this.onSignal(name)
  }

  says(line: string): void {
    this.#events.line(line)
  }

  ends(end: Partial<ChildEnd> = {}): void {
    this.#events.ended({ code: 0, signal: null, error: null, ...end })
  }
}

export class FakeChildProcesses implements ChildProcesses {
  processors = 8
  readonly children: FakeChild[] = []
  readonly adopted: FakeChild[] = []
  /** Called with each that is adopted, before anything is done to it. */
  onAdopt: (child: FakeChild) => void = () => {}
  /** What `--version` prints, by program; a program that is not here cannot be run. */
  readonly versions = new Map<string, string>([['nats-server', 'nats-server: v2.15.1\n']])
  /** Processes that are there, by id. */
  readonly identities = new Map<number, string>()
  /** Those of them that the system hides. */
  readonly hidden = new Set<number>()
  readonly signals: (readonly [pid: number, name: ChildSignal])[] = []
  /** What a signal does to a process that is no child. */
  onSignal: (pid: number, name: ChildSignal) => void = (pid) => this.identities.delete(pid)

  get last(): FakeChild {
    const child = this.children.at(-1)
    if (child === undefined) throw new Error('nothing was started')
    return child
  }

  start(command: ChildCommand, events: ChildEvents): FakeChild {
    const child = new FakeChild(100 + this.children.length, command, events)
    this.children.push(child)
    this.identities.set(child.pid, `began ${this.children.length}`)
    events.spawned?.(child.pid).catch((error: Error) => child.ends({ error }))
    return child
  }

  adopt(pid: number, identity: string, orphan: OrphanRules, events: ChildEvents): FakeChild {
    if (this.identities.get(pid) !== identity) throw new Error(`process ${pid} is another one`)
    const child = new FakeChild(pid, { program: '', args: [], orphan }, events)
    this.adopted.push(child)
    this.onAdopt(child)
    return child
  }

  run(program: string): Promise<ProgramOutput> {
    const text = this.versions.get(program)
    if (text !== undefined) return Promise.resolve({ code: 0, text })
    return Promise.reject(Object.assign(new Error(`spawn ${program} ENOENT`), { code: 'ENOENT' }))
  }

  identity(pid: number): Promise<string | null> {
    if (this.hidden.has(pid)) return Promise.reject(new Error(`process ${pid} is there, and /proc does not show it`))
    return Promise.resolve(this.identities.get(pid) ?? null)
  }

  signal(pid: number, name: ChildSignal): boolean {
    this.signals.push([pid, name])
    this.onSignal(pid, name)
    return true
  }
}
