/** A node joins NATS servers that somebody else runs, as far as `startNats`: with these options, and what it says. */
import assert from 'node:assert/strict'
import { SystemClock } from '../../../src/base/clock.ts'
import { type Logger, silentLogger } from '../../../src/base/logger.ts'
import { SystemRandom } from '../../../src/base/random.ts'
import { SystemChildProcesses } from '../../../src/base/system-child-processes.ts'
import { SystemFiles } from '../../../src/base/system-files.ts'
import { type Nats, startNats } from '../../../src/cluster/nats/start-nats.ts'
import { type Config, checkCluster, configWith } from '../../../src/config.ts'
import { StartError } from '../../../src/start-error.ts'

/** The logins of `twoAccounts`. */
export const bothLogins = {
  natsUser: 'warren',
  natsPassword: 'w',
  natsSystemUser: 'system',
  natsSystemPassword: 's',
} as const

export class Joining {
  readonly #joined: Nats[] = []

  async join(given: Partial<Config>, logger: Logger = silentLogger): Promise<Nats> {
    const nats = await startNats(settings(given), worldWith(logger))
    this.#joined.push(nats)
    return nats
  }

  /** Refused with such a sentence, in which none of the secrets stands. */
  async refused(given: Partial<Config>, sentence: RegExp, secrets: readonly string[] = []): Promise<void> {
    const said: string[] = []
    const note = (...line: readonly unknown[]): void => void said.push(JSON.stringify(line))
    const logger = { debug: note, info: note, warn: note, error: note }
    await assert.rejects(startNats(settings(given), worldWith(logger)), (error) => {
      assert.ok(error instanceof StartError && error.part === 'cluster', String(error))
      assert.match(error.message, sentence)
      for (const secret of secrets) assert.ok(![...said, error.message].join().includes(secret), 'a secret is told')
      return true
    })
  }

  async end(): Promise<void> {
    await Promise.all(this.#joined.splice(0).map((nats) => nats.close()))
  }
}

function worldWith(logger: Logger) {
  return {
    clock: new SystemClock(),
    random: new SystemRandom(),
    files: new SystemFiles(),
    processes: new SystemChildProcesses(),
    logger,
    lock: async () => async () => {},
  }
}

function settings(given: Partial<Config>) {
  const checked = checkCluster(configWith({ nodeName: 'n1', clusterReplicas: 1, clusterStartMsMax: 2_000, ...given }))
  assert.ok(checked.settings !== null, checked.problems.join())
  return checked.settings.nats
}
