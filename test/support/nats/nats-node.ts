/**
 * `startNats` in a process of its own, so that it can be killed: NAME, PEERS and DIRECTORY as arguments. Prints `ready PID`
 * with the id of the nats-server, or `refused SENTENCE`; ends in order on SIGTERM.
 */
import { SystemClock } from '../../../src/base/clock.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { SystemRandom } from '../../../src/base/random.ts'
import { SystemChildProcesses } from '../../../src/base/system-child-processes.ts'
import { SystemFiles } from '../../../src/base/system-files.ts'
import { startNats } from '../../../src/cluster/nats/start-nats.ts'
import { checkCluster, configWith } from '../../../src/config.ts'
import { lockDataDirectory } from '../../../src/log/file/data-directory-lock.ts'

const [nodeName = '', peers = '', dataDirectory = ''] = process.argv.slice(2)
const natsProgram = process.env['WARREN_NATS_SERVER'] ?? 'none'
const { settings } = checkCluster(
  configWith({ nodeName, peers, dataDirectory, clusterStartMsMax: 60_000, natsProgram }),
)
if (settings === null) throw new Error('no cluster')
const world = {
  clock: new SystemClock(),
  random: new SystemRandom(),
  files: new SystemFiles(),
  processes: new SystemChildProcesses(),
  logger: silentLogger,
  lock: async (directory: string) => {
    const lock = await lockDataDirectory(directory)
    return () => lock.release()
  },
}
try {
  const nats = await startNats(settings.nats, world)
  const found = JSON.stringify({ servers: nats.servers, problems: nats.problems })
  // At once: who has read the first line looks at the second.
  console.log(`ready ${nats.childPid} ${found}\n${nats.described}`)
  process.on('SIGTERM', () => void nats.close().then(() => process.exit(0)))
} catch (error) {
  console.log(`refused ${error instanceof Error ? error.message : error}`)
  process.exit(1)
}
