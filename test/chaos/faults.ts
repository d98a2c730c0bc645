/** What is done to a cluster, and undone again. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Dice } from '../crash/dice.ts'
import type { ClusterNode, ClusterProcesses } from '../support/cluster/cluster-processes.ts'

export interface Fault {
  readonly name: string
  /** Does it. */
  begin(cluster: ClusterProcesses, dice: Dice): Promise<Hit>
}

export interface Hit {
  readonly nodes: readonly ClusterNode[]
  /** Clients cannot use these nodes as long as it lasts. */
  readonly isOut: boolean
  /** Undoes it; resolves when the processes are there again. */
  heal(): Promise<void>
}

const readyMsMax = 60_000
const endMsMax = 15_000

export const faults: readonly Fault[] = [
  outOf('broker killed', async (node) => {
    await node.broker.kill()
  }),
  outOf('node killed with its server', (node) => node.crash()),
  outOf('stopped and started in good order', async (node) => {
    await node.broker.kill('SIGTERM')
  }),
  frozen('broker'),
  frozen('server'),
  frozen('both'),
  {
    name: 'server killed',
    begin: async (cluster, dice) => {
      const node = dice.pick(cluster.nodes)
      node.killServer()
      return { nodes: [node], isOut: false, heal: async () => {} }
    },
  },
  {
    name: 'all servers killed',
    begin: async ({ nodes }) => {
      for (const node of nodes) node.killServer()
      await pause(100)
      return { nodes, isOut: false, heal: async () => {} }
    },
  },
]

/** A broker is ended, and started again. */
function outOf(name: string, end: (node: ClusterNode) => Promise<void>): Fault {
  return {
    name,
    begin: async (cluster, dice) => {
      const node = dice.pick(cluster.nodes)
      // One that is frozen meanwhile ends when it is thawed.
      const ended = end(node)
      await Promise.race([ended, pause(endMsMax)])
      return {
        nodes: [node],
        isOut: true,
        heal: async () => {
          await ended
          if (node.broker.pid === undefined) node.broker.spawn()
          await node.broker.untilListening(readyMsMax)
        },
      }
    },
  }
}

function frozen(what: 'broker' | 'server' | 'both'): Fault {
  return {
    name: `${what === 'both' ? 'node' : what} frozen`,
    begin: async (cluster, dice) => {
      const node = dice.pick(cluster.nodes)
      node.freeze(what)
      return { nodes: [node], isOut: true, heal: async () => node.thaw() }
    },
  }
}
