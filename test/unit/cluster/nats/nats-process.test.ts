/** The nats-server of a node as a child: started, started again, stopped, and found when an earlier start left one. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ManualClock } from '../../../../src/base/clock.ts'
import type { Logger } from '../../../../src/base/logger.ts'
import { SeededRandom } from '../../../../src/base/random.ts'
import type { ChildLogins } from '../../../../src/cluster/nats/nats-config.ts'
import { isRouteTrouble, natsLine } from '../../../../src/cluster/nats/nats-log.ts'
import {
  answerMsMax,
  farewell,
  NatsProcess,
  type NatsProcessParts,
  orphanLifeMs,
  stopMsMax,
} from '../../../../src/cluster/nats/nats-process.ts'
import { findNatsProgram, isOlder } from '../../../../src/cluster/nats/nats-program.ts'
import { readSmallFile, writeSmallFile } from '../../../../src/cluster/nats/small-file.ts'
import { StartError } from '../../../../src/start-error.ts'
import { type FakeChild, FakeChildProcesses } from '../../../support/nats/fake-child-processes.ts'
import { SimulatedFiles } from '../../../support/simulated-files.ts'

const directory = '/data/nats'
const program = { path: '/usr/sbin/nats-server', version: '2.15.1' }
const configFile = `${directory}/nats-server.conf`
const processFile = `${directory}/nats-server.pid`
const claimFile = `${directory}/nats-server.claim`
const logFile = `${directory}/nats-server.log`

class World {
  readonly clock = new ManualClock()
  readonly random = new SeededRandom(1)
  readonly files = new SimulatedFiles()
  readonly processes = new FakeChildProcesses()
  readonly said: string[] = []
  readonly logger: Logger = {
    debug: (_, text) => this.said.push(`debug ${text}`),
    info: (_, text) => this.said.push(`info ${text}`),
    warn: (_, text) => this.said.push(`warn ${text}`),
    error: (_, text) => this.said.push(`error ${text}`),
  }
  /** What is against a server that is there, asked once more each time. */
  reasons: (string | null)[] = [null]

  start(change: Partial<NatsProcessParts> = {}): Promise<NatsProcess> {
    const reasonAgainst = (): Promise<string | null> =>
      Promise.resolve(this.reasons.length > 1 ? (this.reasons.shift() ?? null) : (this.reasons[0] ?? null))
    return NatsProcess.start({ ...this, program, directory, configWith, reasonAgainst, ...change })
  }

  read(path: string): Promise<string> {
    return readSmallFile(this.files, path)
  }

  /** What waits for files and promises has run. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 60; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
  }

  /** Time goes on until it is done. */
  async until<T>(work: Promise<T>): Promise<T> {
    let isDone = false
    const done = work.finally(() => {
      isDone = true
    })
    done.catch(() => undefined)
    for (;;) {
      await this.settle()
      if (isDone) return await done
      this.clock.advance(250)
    }
  }
}

function configWith({ password, systemPassword }: ChildLogins): string {
  return `{ user: warren, password: "${password}" }\n{ user: system, password: "${systemPassword}" }\n`
}

describe('a nats-server as a child', () => {
  it('runs Go on half of the processors, but on one', async () => {
    for (const [processors, threads] of [
      [1, '1'],
      [2, '1'],
      [3, '1'],
      [8, '4'],
    ] as const) {
      const world = new World()
      world.processes.processors = processors
      await world.start()
      assert.deepEqual(world.processes.last.command.environment, { GOMAXPROCS: threads })
    }
  })

  it('is given its configuration, and is written down', async () => {
    const world = new World()
    const nats = await world.start()
    await world.settle()
    const { program: path, args, orphan } = world.processes.last.command
    assert.deepEqual([path, args], [program.path, ['-c', configFile]])
    assert.equal(await world.read(configFile), configWith(nats.logins))
    assert.equal(await world.read(processFile), `100 began 1\n2.15.1 ${program.path}\n`)
    assert.deepEqual([nats.pid, nats.isAdopted], [100, false])
    assert.deepEqual([orphan.lifeMs, orphan.farewell, orphan.stopMsMax], [orphanLifeMs, farewell, stopMsMax])
    assert.deepEqual(orphan.claim, { path: claimFile, text: (await world.read(claimFile)).trim() })
  })

  it('refuses to run when it ends before it has worked, with what it said last', async () => {
    const world = new World()
    const nats = await world.start()
    world.processes.last.says('[9] [FTL] Error listening on port: 127.0.0.1:7102, "address already in use"')
    world.processes.last.ends({ code: 1 })
    await assert.rejects(nats.broken, (error) => {
      assert.ok(error instanceof StartError)
      assert.match(error.message, /ended at once \(exit code 1: Error listening on port: 127.0.0.1:7102.*; mend what/)
      return true
    })
    world.clock.advance(60_000)
    assert.equal(world.processes.children.length, 1)
  })

  it('is started again when it dies, after longer and longer waits', async () => {
    const world = new World()
    const nats = await world.start()
    nats.proven()
    for (const [index, waitMs] of [250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000].entries()) {
      world.processes.last.ends({ code: null, signal: 'SIGKILL' })
      assert.equal(nats.pid, null)
      await world.settle()
      world.clock.advance(waitMs - 1)
      assert.equal(world.processes.children.length, index + 1)
      world.clock.advance(1)
      assert.equal(world.processes.children.length, index + 2)
    }
    world.clock.advance(61_000)
    world.processes.last.ends()
    await world.settle()
    world.clock.advance(250)
    assert.equal(nats.pid, world.processes.last.pid)
  })

  it('is told to stop, and killed when it does not', async () => {
    const world = new World()
    const nats = await world.start()
    await world.settle()
    let isStopped = false
    const stopped = nats.stop().then(() => {
      isStopped = true
    })
    await world.settle()
    assert.deepEqual(world.processes.last.signals, ['SIGUSR2'], 'it lets other servers lead first')
    world.clock.advance(farewell.ms)
    assert.deepEqual(world.processes.last.signals, ['SIGUSR2', 'SIGTERM'])
    world.clock.advance(stopMsMax)
    assert.deepEqual(world.processes.last.signals, ['SIGUSR2', 'SIGTERM', 'SIGKILL'])
    assert.equal(isStopped, false)
    world.processes.last.ends({ code: null, signal: 'SIGKILL' })
    await stopped
    world.clock.advance(60_000)
    assert.equal(world.processes.children.length, 1)
    for (const path of [processFile, claimFile]) await assert.rejects(world.read(path), { code: 'ENOENT' })
  })

  it('says in the log of the node what it writes into its own', async () => {
    const world = new World()
    await writeText(world, logFile, '[1] [WRN] of an earlier run\n')
    const nats = await world.start()
    await appendText(world, logFile, '[1] [WRN] slow\n[1] [FTL] half')
    world.clock.advance(1_000)
    await world.settle()
    assert.deepEqual(world.said, ['warn slow'])
    await appendText(world, logFile, ' of it\n')
    world.processes.last.ends({ code: 1 })
    await assert.rejects(nats.broken, /ended at once \(exit code 1: half of it\)/)
    // It has begun another file.
    await world.files.rename(logFile, `${logFile}.1`)
    await writeText(world, logFile, '[1] [ERR] anew\n')
    world.clock.advance(1_000)
    await world.settle()
    assert.deepEqual(world.said, ['warn slow', 'error half of it', 'warn anew'])
  })

  it('is not started when it cannot be written down', async () => {
    const world = new World()
    const nats = await world.start({
      processes: Object.assign(world.processes, { identity: () => Promise.reject(new Error('no identity')) }),
    })
    await assert.rejects(nats.broken, /ended at once \(no identity\)/)
  })

  it('is not to outlive a node that is stopping', async () => {
    const world = new World()
    const nats = await world.start()
    await nats.renounce()
    await assert.rejects(world.read(claimFile), { code: 'ENOENT' })
    assert.deepEqual(world.processes.last.signals, [])
  })

  it('is not started again when it was told to stop between two starts', async () => {
    const world = new World()
    const nats = await world.start()
    nats.proven()
    world.processes.last.ends()
    await nats.stop()
    world.clock.advance(60_000)
    assert.equal(world.processes.children.length, 1)
  })
})

describe('what an earlier start left behind', () => {
  it('is adopted when it is what would be started, and well', async () => {
    const { world, first } = await worldAfterDeath()
    const claim = await world.read(claimFile)
    const nats = await world.start()
    assert.deepEqual([nats.pid, nats.isAdopted, nats.logins], [100, true, first.logins])
    assert.equal(world.processes.children.length, 1, 'no other is started')
    const [adopted] = world.processes.adopted as [FakeChild]
    assert.deepEqual(adopted.signals, [])
    assert.notEqual(await world.read(claimFile), claim)
    assert.equal(adopted.command.orphan.claim?.text, (await world.read(claimFile)).trim())

    adopted.ends({ code: null })
    await world.settle()
    world.clock.advance(250)
    assert.equal(nats.pid, 101, 'it is started again like any other')
  })

  it('is watched by the new start before the old one is told to let go', async () => {
    const { world } = await worldAfterDeath()
    const claim = await world.read(claimFile)
    let claimAtAdoption: Promise<string> | null = null
    world.processes.onAdopt = () => {
      claimAtAdoption = world.read(claimFile)
    }
    await world.start()
    assert.equal(await claimAtAdoption, claim)
  })

  it('has some time to answer', async () => {
    const { world } = await worldAfterDeath()
    world.reasons = ['it does not answer', 'it does not answer', null]
    assert.equal((await world.until(world.start())).isAdopted, true)
  })

  const unfit: readonly (readonly [what: string, change: Partial<NatsProcessParts>, reasons: string[]])[] = [
    ['another configuration', { configWith: (logins) => `${configWith(logins)}more` }, []],
    ['another program', { program: { ...program, path: '/opt/nats-server' } }, []],
    ['another version', { program: { ...program, version: '2.16.0' } }, []],
    ['an illness', {}, ['it has no JetStream']],
  ]
  for (const [what, change, reasons] of unfit) {
    it(`is ended in order for ${what}, and another started then`, async () => {
      const { world, first } = await worldAfterDeath()
      if (reasons.length > 0) world.reasons = reasons
      const startedAt = world.clock.monotonic()
      let startedBefore = 0
      world.processes.onAdopt = (child) => {
        child.onSignal = (name) => {
          if (name !== 'SIGTERM') return
          startedBefore = world.processes.children.length
          world.processes.identities.delete(child.pid)
          child.ends({ code: null })
        }
      }
      const nats = await world.until(world.start(change))
      assert.deepEqual(world.processes.adopted[0]?.signals, ['SIGUSR2', 'SIGTERM'])
      assert.deepEqual([nats.pid, nats.isAdopted, startedBefore], [101, false, 1])
      assert.equal(world.processes.children.length, 2)
      const waited = world.clock.monotonic() - startedAt
      assert.ok(waited <= farewell.ms + answerMsMax + 1_000, `${waited} ms`)
      if (reasons.length === 0) assert.notDeepEqual(nats.logins, first.logins)
    })
  }

  it('is followed by another when it ends while it is asked', async () => {
    const { world } = await worldAfterDeath()
    world.reasons = ['it does not answer']
    world.processes.onAdopt = (child) => {
      world.clock.after(1_000, () => child.ends({ code: null }))
    }
    const nats = await world.until(world.start())
    assert.deepEqual([nats.pid, nats.isAdopted], [101, false])
    assert.deepEqual(world.processes.adopted[0]?.signals, [])
  })

  it('is killed when it does not end, and refuses the start when that does not help either', async () => {
    const { world } = await worldAfterDeath()
    world.reasons = ['it does not answer']
    const starting = world.until(world.start())
    await assert.rejects(starting, /process 100 is a nats-server on \/data\/nats and does not end; end it by hand/)
    assert.deepEqual(world.processes.adopted[0]?.signals, ['SIGUSR2', 'SIGTERM', 'SIGKILL'])
    assert.equal(world.processes.children.length, 1, 'no other has its store')
  })

  it('is left alone when another process has its id now', async () => {
    const { world } = await worldAfterDeath()
    world.processes.identities.set(100, 'began later')
    const nats = await world.start()
    assert.deepEqual([world.processes.adopted, world.processes.signals], [[], []])
    assert.equal(nats.pid, 101)
  })

  it('refuses the start when it may be there and cannot be seen', async () => {
    const { world } = await worldAfterDeath()
    world.processes.hidden.add(100)
    await assert.rejects(world.start(), (error: StartError) => {
      assert.ok(error instanceof StartError)
      assert.match(error.message, /^process 100 may be a nats-server on \/data\/nats, .*ProtectProc=/)
      return true
    })
    assert.equal(world.processes.children.length, 1, 'no other is started on its store')
  })

  it('does not matter when it is no record', async () => {
    for (const text of ['', 'x\n', '77\n']) {
      const world = new World()
      await writeText(world, processFile, text)
      assert.equal((await world.start()).isAdopted, false)
    }
  })

  /** A node was started and has died; its server is there. */
  async function worldAfterDeath(): Promise<{ readonly world: World; readonly first: NatsProcess }> {
    const world = new World()
    const first = await world.start()
    await world.settle()
    world.said.length = 0
    return { world, first }
  }
})

async function writeText(world: World, path: string, text: string): Promise<void> {
  await world.files.makeDirectory(directory)
  await writeSmallFile(world.files, path, text)
}

async function appendText(world: World, path: string, text: string): Promise<void> {
  const file = await world.files.open(path, 'write')
  const bytes = Buffer.from(text)
  await file.write(bytes, 0, bytes.length, await file.size())
  await file.close()
}

describe('what a nats-server says', () => {
  it('is of the secret, not of routes, where another node has another one', () => {
    const lines = [
      "[12] [ERR] 10.0.0.2:25673 - rid:79 - Route Error 'Authorization Violation'",
      '[12] [ERR] 10.0.0.2:50126 - rid:80 - authentication error - User "route"',
    ]
    const told = /^10\.0\.0\.2 has another cluster-secret; give all nodes the same/
    for (const line of lines) {
      const { level, message } = natsLine(line)
      assert.equal(level, 'warn')
      assert.match(message, told)
      assert.ok(isRouteTrouble(message))
    }
    const refused = 'Error trying to connect to route (attempt 1): dial tcp 10.0.0.2:25673: connect: connection refused'
    const unknown = 'Error trying to connect to route (attempt 1): lookup for host "n2": no such host'
    assert.deepEqual([isRouteTrouble(refused), isRouteTrouble(unknown)], [false, true])
  })

  it('has the level that it means for us', () => {
    const lines = {
      '[12] [INF] Server is ready': { level: 'debug', message: 'Server is ready' },
      '[12] [WRN] Waiting for routing to be established...': {
        level: 'warn',
        message: 'Waiting for routing to be established...',
      },
      '[12] [ERR] Error trying to connect to route': { level: 'warn', message: 'Error trying to connect to route' },
      '[12] 2026/11/22 14:00:00.123456 [FTL] no port': { level: 'error', message: 'no port' },
      '[12] [WRN] Plaintext passwords detected, use nkeys or bcrypt': {
        level: 'debug',
        message: 'Plaintext passwords detected, use nkeys or bcrypt',
      },
      'panic: runtime error': { level: 'error', message: 'panic: runtime error' },
      'nats-server: x.conf:3:1: unknown field': { level: 'error', message: 'x.conf:3:1: unknown field' },
    }
    for (const [text, expected] of Object.entries(lines)) assert.deepEqual(natsLine(text), expected)
  })
})

describe('the program nats-server', () => {
  it('is found on the path, or in the usual places', async () => {
    const processes = new FakeChildProcesses()
    assert.deepEqual(await findNatsProgram(processes, null), { path: 'nats-server', version: '2.15.1' })
    processes.versions.clear()
    processes.versions.set('/usr/sbin/nats-server', 'nats-server: v2.14.4\n')
    assert.deepEqual(await findNatsProgram(processes, null), { path: '/usr/sbin/nats-server', version: '2.14.4' })
  })

  it('is refused when it is missing, too old or something else, with the mend', async () => {
    const processes = new FakeChildProcesses()
    processes.versions.set('/old', 'nats-server: v2.9.10\n')
    processes.versions.set('/other', 'hello\n')
    await refused(processes, '/old', /^\/old has version 2.9.10, which is too old; install nats-server 2.14.4 or newer/)
    await refused(processes, '/other', /^\/other does not say that it is a nats-server; install/)
    await refused(processes, '/none', /^\/none cannot be run \(ENOENT\); give --nats-server the path/)
    processes.versions.clear()
    await refused(processes, null, /^there is no nats-server on this machine; install .* or give its path with/)
  })

  it('compares versions by number', () => {
    for (const old of ['2.9.10', '2.14.3', '1.99.99', '2.14.4-RC.1']) assert.equal(isOlder(old, '2.14.4'), true, old)
    for (const good of ['2.14.4', '2.15.0-dev', '2.100.0', '3.0.0']) assert.equal(isOlder(good, '2.14.4'), false, good)
  })

  async function refused(processes: FakeChildProcesses, given: string | null, sentence: RegExp): Promise<void> {
    await assert.rejects(findNatsProgram(processes, given), (error) => {
      assert.ok(error instanceof StartError && error.part === 'cluster')
      assert.match(error.message, sentence)
      return true
    })
  }
})
