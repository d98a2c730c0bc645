import type { ShardTopology } from '../broker/ports.ts'

/** The topology as shards ask it, which are made before it is. */
export function lateTopology(now: () => ShardTopology): ShardTopology {
  return {
    get appended() {
      return now().appended
    },
    get committed() {
      return now().committed
    },
    reroute: (...args) => now().reroute(...args),
    expireQueue: (definition) => now().expireQueue(definition),
  }
}
