/** What happens to the owner of a shard in the tests that try owner changes at random. */
import type { SeededRandom } from '../../../src/base/random.ts'
import type { PlacedCluster } from './placed-harness.ts'

/** Nodes that live on, with clients; those that may be killed begin with `o`. */
export const entryNodes = ['b', 'c'] as const

/** The owner dies, or gives the shard away, or a link is cut and mended; then somebody owns it. */
export async function changeOwner(cluster: PlacedCluster, random: SeededRandom): Promise<void> {
  const { owner } = cluster
  const spare = [...cluster.nodes.keys()].filter((name) => name.startsWith('o') && name !== owner?.identity.name)
  const next = random.below(4) === 0 ? 'b' : (spare[random.below(spare.length)] ?? 'c')
  switch (random.below(3)) {
    case 0:
      if (owner === null || !owner.identity.name.startsWith('o') || spare.length < 2) return
      cluster.kill(owner.identity.name)
      break
    case 1:
      await cluster.giveUp()
      break
    default: {
      const entry = entryNodes[random.below(2)] ?? 'b'
      if (owner === null || owner.identity.name === entry) return
      cluster.network.cut(entry, owner.identity.name)
      await cluster.settle(random.below(10))
      cluster.network.mend(entry, owner.identity.name)
      return
    }
  }
  await cluster.settle(random.below(10))
  await cluster.own(next)
}
