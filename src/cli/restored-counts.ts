/** Opens a data directory once, as a broker does, and counts what is in its queues. */
import type { QueueCount } from '../backup/archive.ts'
import { countQueues } from '../backup/queue-counts.ts'
import { ManualClock } from '../base/clock.ts'
import { silentLogger } from '../base/logger.ts'
import { configWith } from '../config.ts'
import { StartError, startDaemon, systemWorld } from '../daemon.ts'
import { CommandFailure } from './client/command-failure.ts'
import { ExitCode } from './exit-code.ts'

/** Time stands still at `at` (wall time in milliseconds): nothing expires or falls due while it is open. */
export async function restoredCounts(root: string, at: number): Promise<QueueCount[]> {
  const world = systemWorld(silentLogger)
  const config = configWith({ dataDirectory: root, httpPort: 'none', definitions: 'none' })
  let counts: readonly QueueCount[] = []
  try {
    const daemon = await startDaemon(
      config,
      { ...world, clock: new ManualClock(at), machineClock: world.clock },
      {
        listens: false,
        opened: async (broker) => {
          counts = await countQueues(broker.topology, world.clock)
        },
      },
    )
    await daemon.stop(0)
  } catch (error) {
    if (!(error instanceof StartError)) throw error
    throw new CommandFailure(ExitCode.failed, `what was restored does not open: ${error.message}`)
  }
  return [...counts]
}
