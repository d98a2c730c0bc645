/** What becomes of a child when its parent is killed: real processes, and lives of a second or so. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { OrphanRules } from '../../../src/base/child-processes.ts'
import { SystemChildProcesses } from '../../../src/base/system-child-processes.ts'
import type { ParentOrders } from '../../support/child-parent.ts'
import { eventually } from '../../support/eventually.ts'

const worker = fileURLToPath(new URL('../../support/child-parent.js', import.meta.url))
const processes = new SystemChildProcesses()
const msMax = 20_000
const longMs = 600_000

void describe('a child whose parent is killed', { concurrency: true, skip: process.platform !== 'linux' }, () => {
  const scratch = mkdtempSync(join(tmpdir(), 'warren-orphans-'))
  const parents: Parent[] = []
  after(async () => {
    for (const parent of parents) await parent.end()
    rmSync(scratch, { recursive: true, force: true })
  })
  let count = 0

  it('goes on for its life, is then told to end, and is killed when it does not', async () => {
    const place = newPlace()
    const parent = begin({
      start: sleeper(place, 'deaf'),
      orphan: { ...rules(place), lifeMs: 2_000, stopMsMax: 3_000 },
    })
    const pid = await parent.child()
    const since = performance.now()
    await parent.kill()
    await eventually('it is told', () => signalsAt(place).startsWith('USR2\n'), msMax)
    assert.ok(performance.now() - since > 900, 'it had time')
    await eventually('it is gone', async () => (await processes.identity(pid)) === null, msMax)
    assert.equal(signalsAt(place), 'USR2\nTERM\n')
  })

  it('is ended at once when nobody will come for it', async () => {
    const place = newPlace()
    const parent = begin({ start: sleeper(place), orphan: rules(place) })
    const pid = await parent.child()
    rmSync(place.claim)
    assert.notEqual(await processes.identity(pid), null, 'not while its parent is there')
    await parent.kill()
    await eventually('it is gone', async () => (await processes.identity(pid)) === null, msMax)
    assert.equal(signalsAt(place), 'USR2\nTERM\n')
  })

  it('is left to whoever has claimed it', async () => {
    const place = newPlace()
    const first = begin({ start: sleeper(place), orphan: { ...rules(place), lifeMs: 3_000 } })
    const pid = await first.child()
    await first.kill()
    const identity = (await processes.identity(pid)) ?? ''
    const orphan = { ...rules(place), claim: { path: place.claim, text: 'second' } }
    const second = begin({ adopt: { pid, identity }, orphan })
    await second.child()
    writeFileSync(place.claim, 'second\n')
    await pause(5_000)
    assert.deepEqual([await processes.identity(pid), signalsAt(place)], [identity, ''])
    rmSync(place.claim)
    await second.kill()
    await eventually('it is gone', async () => (await processes.identity(pid)) === null, msMax)
  })

  it('has another watcher when that is killed before', async () => {
    const place = newPlace()
    const parent = begin({ start: sleeper(place), orphan: { ...rules(place), lifeMs: 0 } })
    const pid = await parent.child()
    await eventually('it is watched', () => parent.children(pid).length === 1, msMax)
    const [watcher] = parent.children(pid) as [number]
    process.kill(watcher, 'SIGKILL')
    const isReplaced = (): boolean => parent.children(pid).some((one) => one !== watcher)
    await eventually('it is watched again', () => isReplaced(), msMax)
    await parent.kill()
    await eventually('it is gone', async () => (await processes.identity(pid)) === null, msMax)
  })

  it('does not begin when that happens before it has been written down', async () => {
    const place = newPlace()
    const parent = begin({ start: { ...sleeper(place), isHeld: true }, orphan: rules(place) })
    const pid = await parent.child()
    assert.notEqual(await processes.identity(pid), null)
    await parent.kill()
    await eventually('it is gone', async () => (await processes.identity(pid)) === null, msMax)
    assert.equal(existsSync(place.signals), false, 'the program has not run')
  })

  it('is not taken for another process that has its id', async () => {
    const place = newPlace()
    const stranger = begin({ start: sleeper(place), orphan: { ...rules(place), claim: null } })
    const pid = await stranger.child()
    const identity = (await processes.identity(pid)) ?? ''
    const earlier = identity.replace(/\d+$/, (began) => String(Number(began) - 1))
    const parent = begin({ adopt: { pid, identity: earlier }, orphan: { ...rules(place), claim: null, lifeMs: 0 } })
    await parent.said('ended')
    await parent.kill()
    await pause(2_000)
    assert.deepEqual([await processes.identity(pid), signalsAt(place)], [identity, ''])
  })

  it('is not taken for gone when the system hides it', async () => {
    const blind = new SystemChildProcesses(scratch)
    await assert.rejects(blind.identity(process.pid), /is there, and \S+ does not show it/)
    assert.equal(await blind.identity(2 ** 31 - 1), null, 'no process has this id')
  })

  interface Place {
    readonly claim: string
    readonly signals: string
  }

  function newPlace(): Place {
    const place = { claim: join(scratch, `claim-${++count}`), signals: join(scratch, `signals-${count}`) }
    writeFileSync(place.claim, 'first\n')
    return place
  }

  /** Writes down what it is told. */
  function sleeper({ signals }: Place, how: 'deaf' | '' = ''): NonNullable<ParentOrders['start']> {
    const onTerm = how === 'deaf' ? '' : '; exit'
    const script = `trap 'echo USR2 >>"$0"' USR2; trap 'echo TERM >>"$0"${onTerm}' TERM; : >>"$0"; while :; do sleep 0.1; done`
    return { program: '/bin/sh', args: ['-c', script, signals], isHeld: false }
  }

  function rules({ claim }: Place): OrphanRules {
    const farewell = { signal: 'SIGUSR2', ms: 1_000 } as const
    return { lifeMs: longMs, claim: { path: claim, text: 'first' }, farewell, stopMsMax: 10_000 }
  }

  function begin(orders: ParentOrders): Parent {
    const parent = new Parent(orders)
    parents.push(parent)
    return parent
  }

  function signalsAt({ signals }: Place): string {
    return existsSync(signals) ? readFileSync(signals, 'utf8') : ''
  }
})

class Parent {
  readonly #process: ChildProcess
  readonly #ended: Promise<unknown>
  /** The program makes it when it hears signals; null when it does not begin, or has begun before. */
  readonly #begun: string | null
  #output = ''
  #child = 0

  constructor(orders: ParentOrders) {
    this.#begun = orders.start?.isHeld === false ? (orders.start.args.at(-1) ?? null) : null
    this.#process = spawn(process.execPath, [worker, JSON.stringify(orders)], { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#process.stdout?.on('data', (text) => {
      this.#output += text
    })
    this.#ended = new Promise((resolve) => this.#process.once('exit', resolve))
  }

  async said(line: string): Promise<void> {
    await eventually(line, () => this.#output.split('\n').includes(line), msMax)
  }

  /** Its process id, once the program has begun, unless it is held. */
  async child(): Promise<number> {
    const pid = (): string | undefined => /^child (\d+)$/m.exec(this.#output)?.[1]
    await eventually('a child', () => pid() !== undefined, msMax)
    this.#child = Number(pid())
    const begun = this.#begun
    if (begun === null) await pause(500)
    else await eventually('its program', () => existsSync(begun), msMax)
    return this.#child
  }

  /** Of this process, but for one. */
  children(except: number): number[] {
    const pid = this.#process.pid ?? 0
    const all = readdirSync(`/proc/${pid}/task`).flatMap((task) => {
      return readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number)
    })
    return all.filter((one) => one !== except)
  }

  async kill(): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.#ended
  }

  /** With its child, which may be there still. */
  async end(): Promise<void> {
    const identity = this.#child === 0 ? null : await processes.identity(this.#child)
    if (identity !== null) processes.signal(this.#child, 'SIGKILL')
    if (this.#process.exitCode === null && this.#process.signalCode === null) await this.kill()
  }
}
