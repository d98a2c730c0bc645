/**
 * A program: `warren serve` with a shard that answers late (`delayed-shard.ts`), for whatever is true of a broker and
 * must stay true when its queues live on another node.
 *
 * The delays are drawn from the seed in DELAYED_SEED, 1 if there is none.
 */
import { SeededRandom } from '../../src/base/random.ts'
import { serve } from './altered-serve.ts'
import { DelayedShard } from './delayed-shard.ts'

const random = new SeededRandom(Number(process.env['DELAYED_SEED'] ?? '1'))
await serve(({ clock }) => ({ insertions: { shardFace: (shard) => new DelayedShard(shard, clock, random) } }))
