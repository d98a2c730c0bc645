/**
 * A shard is taken from its owner by hand: the lease, which says who owns it, is overwritten or removed behind the nodes'
 * backs.
 */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ClusterNode, ClusterProcesses } from '../support/cluster/cluster-processes.ts'
import { runProgram } from '../support/run-program.ts'
import type { Fault } from './fault.ts'

const thefts = [
  'given to another node',
  'given to another node under the same epoch',
  'given to another node far ahead',
  'given to a node of long ago',
  'freed',
  'set back',
  'set back and given to another node',
  'set back and freed',
  'removed',
  'purged',
  'filled with nonsense',
  'given to another node beyond all numbers',
] as const
export type Theft = (typeof thefts)[number]

const thiefProgram = fileURLToPath(new URL('thief.js', import.meta.url))
const thiefMsMax = 10_000
/** More than there are shards. */
const numberMax = 1_000

export const theftFault: Fault = {
  name: 'shards stolen',
  begin: async (cluster, dice) => {
    const told: string[] = []
    for (let count = dice.between(1, 3); count > 0; count--) {
      const node = dice.pick(cluster.nodes)
      told.push(await steal(cluster, node, dice.pick(thefts), dice.between(0, numberMax)))
    }
    const none = { nodes: [], isOut: false, isTakenOver: true, heal: async () => {} }
    return { ...none, detail: told.join('; ') }
  },
}

/** What was done, or why not: another fault of the same moment may keep the thief from it. */
async function steal(cluster: ClusterProcesses, node: ClusterNode, how: Theft, number: number): Promise<string> {
  const config = join(node.broker.dataDirectory, 'nats', 'nats-server.conf')
  const prefix = cluster.networks?.prefix(cluster.nodes.indexOf(node)) ?? []
  const [program = '', ...args] = [...prefix, process.execPath, thiefProgram, config, how, String(number)]
  const { status, stdout, stderr } = await runProgram(program, args, { msMax: thiefMsMax })
  const why = stderr.split('\n').find((line) => /Error|rror:/.test(line)) ?? 'no answer'
  return status === 0 ? `${how}: ${stdout.trim()}` : `${how}: failed by ${node.name}: ${why.trim()}`
}
