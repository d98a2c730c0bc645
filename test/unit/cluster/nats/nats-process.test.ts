/** The nats-server of a node as a child: started, started again, stopped, and found when an earlier start left one. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ManualClock } from '../../../../src/base/clock.ts'
import type { Logger } from '../../../../src/base/logger.ts'
import { farewell, NatsProcess, natsLine, stopMsMax } from '../../../../src/cluster/nats/nats-process.ts'
import { findNatsProgram, isOlder } from '../../../../src/cluster/nats/nats-program.ts'
import { readSmallFile, writeSmallFile } from '../../../../src/cluster/nats/small-file.ts'
import { StartError } from '../../../../src/start-error.ts'
import { FakeChildProcesses } from '../../../support/nats/fake-child-processes.ts'
import { SimulatedFiles } from '../../../support/simulated-files.ts'

const directory = '/data/nats'

class World {
  readonly clock = new ManualClock()
  readonly files = new SimulatedFiles()
  readonly processes = new FakeChildProcesses()
  readonly said: string[] = []
  readonly logger: Logger = {
    debug: (_, text) => this.said.push(`debug ${text}`),
    info: (_, text) => this.said.push(`info ${text}`),
    warn: (_, text) => this.said.push(`warn ${text}`),
    error: (_, text) => this.said.push(`error ${text}`),
  }

  start(): Promise<NatsProcess> {
    const program = { path: '/usr/sbin/nats-server', version: '2.15.1' }
    return NatsProcess.start({ ...this, program, directory, config: 'server_name: "n1"\n' })
  }

  /** What waits for files and promises has run. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 20; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
  }
}

describe('a nats-server as a child', () => {
  it('is given its configuration, and is written down', async () => {
    const world = new World()
    const nats = await world.start()
    await world.settle()
    const { program, args } = world.processes.last.command
    assert.deepEqual([program, args], ['/usr/sbin/nats-server', ['-c', '/data/nats/nats-server.conf']])
    assert.equal(await readSmallFile(world.files, '/data/nats/nats-server.conf'), 'server_name: "n1"\n')
    assert.equal(await readSmallFile(world.files, '/data/nats/nats-server.pid'), '100 began 1\n')
    assert.equal(nats.pid, 100)
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
      world.clock.advance(waitMs - 1)
      assert.equal(world.processes.children.length, index + 1)
      world.clock.advance(1)
      assert.equal(world.processes.children.length, index + 2)
    }
    world.clock.advance(61_000)
    world.processes.last.ends()
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
    await assert.rejects(readSmallFile(world.files, '/data/nats/nats-server.pid'), { code: 'ENOENT' })
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
  it('is ended first', async () => {
    const world = await worldAfter('77 began then\n')
    world.processes.identities.set(77, 'began then')
    await world.start()
    assert.deepEqual(world.processes.signals, [[77, 'SIGTERM']])
    assert.equal(world.processes.children.length, 1)
  })

  it('is killed when it does not end', async () => {
    const world = await worldAfter('77 began then\n')
    world.processes.identities.set(77, 'began then')
    world.processes.onSignal = (pid, name) => {
      if (name === 'SIGKILL') world.processes.identities.delete(pid)
    }
    const starting = world.start()
    while (world.processes.children.length === 0) {
      await world.settle()
      world.clock.advance(1_000)
    }
    await starting
    assert.deepEqual(world.processes.signals, [
      [77, 'SIGTERM'],
      [77, 'SIGKILL'],
    ])
  })

  it('is left alone when another process has its id now', async () => {
    const world = await worldAfter('77 began then\n')
    world.processes.identities.set(77, 'began later')
    await world.start()
    assert.deepEqual(world.processes.signals, [])
  })

  it('does not matter when it is no record', async () => {
    for (const text of ['', 'x\n', '77\n']) {
      const world = await worldAfter(text)
      await world.start()
      assert.deepEqual(world.processes.signals, [])
    }
  })

  async function worldAfter(text: string): Promise<World> {
    const world = new World()
    await world.files.makeDirectory(directory)
    await writeSmallFile(world.files, `${directory}/nats-server.pid`, text)
    return world
  }
})

describe('what a nats-server says', () => {
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
