/**
 * A program: `warren serve` whose shard is reached as one of another node is (`remote-face.ts`). The turns that messages
 * take on the link are drawn from the seed in REMOTE_SEED, 1 if there is none.
 */
import { SeededRandom } from '../../src/base/random.ts'
import { serve } from './altered-serve.ts'
import { RemotePair } from './remote-face.ts'

const random = new SeededRandom(Number(process.env['REMOTE_SEED'] ?? '1'))
await serve(({ clock, logger }) => {
  const pair = new RemotePair({ clock, logger, random })
  return { insertions: { shardFace: pair.face } }
})
