/** What is done to a cluster, and undone again. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Dice } from '../crash/dice.ts'
import type { ClusterProcesses } from '../support/cluster/cluster-processes.ts'

export interface Fault {
  readonly name: string
  /** Does it; the result undoes it, and resolves when the processes are there again. */
  begin(cluster: ClusterProcesses, dice: Dice): Promise<() => Promise<void>>
}

const readyMsMax = 60_000

export const faults: readonly Fault[] = [
  {
    name: 'broker killed',
    begin: async (cluster, dice) => {
      const { broker } = dice.pick(cluster.nodes)
      await broker.kill()
      return async () => {
        if (broker.pid === undefined) broker.spawn()
        await broker.untilListening(readyMsMax)
      }
    },
  },
  {
    name: 'node killed with its server',
    begin: async (cluster, dice) => {
      const node = dice.pick(cluster.nodes)
      await node.crash()
      return async () => {
        if (node.broker.pid === undefined) node.broker.spawn()
        await node.broker.untilListening(readyMsMax)
      }
    },
  },
  {
    name: 'server killed',
    begin: async (cluster, dice) => {
      dice.pick(cluster.nodes).killServer()
      return async () => {}
    },
  },
  {
    name: 'broker frozen',
    begin: async (cluster, dice) => {
      const node = dice.pick(cluster.nodes)
      node.freeze('broker')
      return async () => node.thaw()
    },
  },
  {
    name: 'server frozen',
    begin: async (cluster, dice) => {
      const node = dice.pick(cluster.nodes)
      node.freeze('server')
      return async () => node.thaw()
    },
  },
  {
    name: 'node frozen',
    begin: async (cluster, dice) => {
      const node = dice.pick(cluster.nodes)
      node.freeze('both')
      return async () => node.thaw()
    },
  },
  {
    name: 'stopped and started in good order',
    begin: async (cluster, dice) => {
      const { broker } = dice.pick(cluster.nodes)
      await broker.kill('SIGTERM')
      return async () => {
        if (broker.pid === undefined) broker.spawn()
        await broker.untilListening(readyMsMax)
      }
    },
  },
  {
    name: 'all servers killed',
    begin: async (cluster) => {
      for (const node of cluster.nodes) node.killServer()
      await pause(100)
      return async () => {}
    },
  },
]
