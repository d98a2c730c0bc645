/** Processes that are killed, stopped, frozen and restarted. */
import { setTimeout as pause } from 'node:timers/promises'
import type { ClusterNode, ClusterProcesses } from '../support/cluster/cluster-processes.ts'
import type { Fault, Hit } from './fault.ts'
import { addressOf, getsThrough } from './service-times.ts'

const readyMsMax = 60_000
const endMsMax = 15_000
/** Who restarts nodes one after the other waits so long for the last one to be of use, in milliseconds. */
const usefulMsMax = 30_000

export const processFaults: readonly Fault[] = [
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
      return { nodes: [node], isOut: false, isTakenOver: true, heal: async () => {} }
    },
  },
  {
    name: 'all servers killed',
    begin: async ({ nodes }) => {
      for (const node of nodes) node.killServer()
      await pause(100)
      return { nodes, isOut: false, isTakenOver: false, heal: async () => {} }
    },
  },
  {
    name: 'rolling restart',
    begin: async (cluster) => {
      const restarted = restartAll(cluster)
      restarted.catch(() => {})
      return { nodes: cluster.nodes, isOut: false, isTakenOver: false, heal: () => restarted }
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
      await Promise.race([ended, pause(endMsMax, undefined, { ref: false })])
      const heal = async (): Promise<void> => {
        await ended
        await startAgain(node)
      }
      return { nodes: [node], isOut: true, isTakenOver: true, heal }
    },
  }
}

function frozen(what: 'broker' | 'server' | 'both'): Fault {
  return {
    name: `${what === 'both' ? 'node' : what} frozen`,
    begin: async (cluster, dice): Promise<Hit> => {
      const node = dice.pick(cluster.nodes)
      node.freeze(what)
      return { nodes: [node], isOut: true, isTakenOver: true, heal: async () => node.thaw() }
    },
  }
}

/** As the guide says: one after the other, each when the one before is of use again. */
async function restartAll({ nodes }: ClusterProcesses): Promise<void> {
  for (const node of nodes) {
    await node.broker.kill('SIGTERM')
    await startAgain(node)
    const end = Date.now() + usefulMsMax
    while (Date.now() < end && !(await getsThrough(addressOf(node), endMsMax))) await pause(200)
  }
}

/** Another fault of the same moment may have done it already, and a rolling restart may end it again while it starts. */
async function startAgain({ broker }: ClusterNode): Promise<void> {
  const end = Date.now() + readyMsMax
  for (;;) {
    if (broker.pid === undefined) broker.spawn()
    try {
      return await broker.untilListening(readyMsMax)
    } catch (error) {
      if (Date.now() >= end || !wasTold(error)) throw error
      await pause(200)
    }
  }
}

/** It did not end by itself. */
function wasTold(error: unknown): boolean {
  return error instanceof Error && /^the broker ended \((0|SIGKILL|SIGTERM)\)/.test(error.message)
}
