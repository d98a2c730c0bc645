/**
 * A node of a cluster as a process has it: its NATS, and the node itself, which is begun anew when its session ended or
 * what it knows of the topology may be wrong. NATS goes on meanwhile: it is what the others live on too.
 */

import type { ChildProcesses } from './base/child-processes.ts'
import type { Clock } from './base/clock.ts'
import type { Files } from './base/files.ts'
import { type Logger, logOf } from './base/logger.ts'
import type { Socket } from './base/network.ts'
import type { Random } from './base/random.ts'
import { SystemChildProcesses } from './base/system-child-processes.ts'
import { type Nats, startNats } from './cluster/nats/start-nats.ts'
import { checkClusterDirectory } from './cluster-directory.ts'
import type { ClusterSettings } from './config.ts'
import type { Daemon } from './daemon.ts'
import { DataDirectoryLocked, lockDataDirectory } from './log/file/data-directory-lock.ts'
import { type ReloadNode, ReloadRefused } from './management/reload.ts'
import { StartError } from './start-error.ts'

/** The node must be begun anew; its clients connect again, to it or to others. */
export class NodeOutdated extends Error {
  readonly code = 'NODE_OUTDATED'
}

/** What of the world outside it touches. */
export interface ClusterWorld {
  readonly machineClock: Clock
  readonly random: Random
  readonly files: Files
  readonly logger: Logger
  /** Default: those of the machine. */
  readonly processes?: ChildProcesses
  /** A start that waits is given up then. */
  readonly stopAsked?: AbortSignal
}

export interface ClusterDaemonParts {
  readonly nats: Nats
  readonly clock: Clock
  readonly logger: Logger
  /** Starts a node on it. Rejects with `StartError` when it cannot begin as things are. */
  startNode(nats: Nats): Promise<Daemon>
}

/** Before a node is begun anew, in milliseconds; twice as long after each failure. */
const restartMs = { first: 500, most: 10_000 } as const
/** What a node may take to end, besides the time for its clients, in milliseconds: without a majority nothing answers it. */
const endMsMax = 10_000

export class ClusterDaemon implements Daemon {
  readonly failed: Promise<Error>
  readonly #parts: ClusterDaemonParts
  #fail: (error: Error) => void = () => {}
  #node: Daemon | null = null
  #isStopping = false
  #restarting: Promise<void> = Promise.resolve()
  #addresses: readonly string[] = []
  #dataDirectory: string | null = null

  private constructor(parts: ClusterDaemonParts) {
    this.#parts = parts
    this.failed = new Promise((resolve) => {
      this.#fail = resolve
    })
  }

  static async start(parts: ClusterDaemonParts): Promise<ClusterDaemon> {
    const daemon = new ClusterDaemon(parts)
    try {
      await daemon.#begin()
    } catch (error) {
      await parts.nats.close()
      throw error
    }
    return daemon
  }

  get addresses(): readonly string[] {
    return this.#addresses
  }

  get dataDirectory(): string | null {
    return this.#dataDirectory
  }

  async #begin(): Promise<void> {
    const node = await this.#parts.startNode(this.#parts.nats)
    this.#node = node
    this.#addresses = node.addresses
    this.#dataDirectory = node.dataDirectory
    void node.failed.then((error) => {
      if (this.#node !== node || this.#isStopping) return
      if (error instanceof NodeOutdated) this.#restarting = this.#restart(node, error)
      else this.#fail(error)
    })
  }

  async #restart(node: Daemon, reason: Error): Promise<void> {
    const { logger, clock } = this.#parts
    logger.warn({ reason: reason.message }, 'the node is begun anew; its clients connect again, here or elsewhere')
    this.#node = null
    await node.stop(0).catch((error: unknown) => logger.warn({ error }, 'the node did not end in good order'))
    for (let wait: number = restartMs.first; !this.#isStopping; wait = Math.min(wait * 2, restartMs.most)) {
      try {
        await this.#begin()
        return
      } catch (error) {
        if (!(error instanceof StartError)) return this.#fail(error instanceof Error ? error : new Error(String(error)))
        logger.warn({ error: error.message, againInMs: wait }, 'the node cannot begin anew yet')
      }
      await new Promise<void>((resolve) => clock.after(wait, resolve))
    }
  }

  accept(socket: Socket): void {
    if (this.#node === null) socket.destroy()
    else this.#node.accept(socket)
  }

  readonly reload: ReloadNode = () => {
    if (this.#node !== null) return this.#node.reload()
    return Promise.reject(new ReloadRefused(['the node is being begun anew; ask again in a moment']))
  }

  async stop(drainMsMax: number): Promise<boolean> {
    this.#isStopping = true
    const { nats, logger, clock } = this.#parts
    await nats
      .renounce()
      .catch((error: unknown) => logger.warn({ error }, 'nats-server may outlive a node that is killed'))
    let isLate = false
    const late = new Promise<false>((resolve) => {
      clock.after(drainMsMax + endMsMax, () => {
        isLate = true
        resolve(false)
      })
    })
    const stopped = this.#restarting.then(async () => (await this.#node?.stop(drainMsMax)) ?? true)
    const isDrained = await Promise.race([stopped, late])
    if (isLate) logger.warn({}, 'the node could not end in good order; what was confirmed is stored')
    await nats.close()
    return isDrained
  }
}

/** Starts or joins NATS, then the node, in a data directory of its own. Rejects with `StartError`. */
export async function startClusterDaemon(
  settings: ClusterSettings,
  dataDirectory: string,
  world: ClusterWorld,
  startNode: (nats: Nats) => Promise<Daemon>,
): Promise<Daemon> {
  const { machineClock: clock, random, files, stopAsked } = world
  const logger = logOf(world.logger, 'cluster')
  const processes = world.processes ?? new SystemChildProcesses()
  await checkClusterDirectory(files, dataDirectory, settings.nodeName)
  const nats = await startNats(settings.nats, { clock, random, files, logger, processes, lock: lockNats, stopAsked })
  logger.info({ node: settings.nodeName, cluster: settings.clusterName }, nats.described)
  return await ClusterDaemon.start({ nats, clock, logger, startNode })
}

/** Two nodes on one directory must not take each other's NATS server for one that was left behind. */
async function lockNats(directory: string): Promise<() => Promise<void>> {
  try {
    const lock = await lockDataDirectory(directory)
    return () => lock.release()
  } catch (error) {
    if (error instanceof DataDirectoryLocked) throw new StartError('data-directory', error.message, error)
    throw error
  }
}
