/**
 * The same for requests, tasks and channels as `must-not-compile.ts` for queues: each line below a directive is wrong, and the
 * build fails when the compiler thinks otherwise.
 */
import { type Client, channel, type PushPop, type StandardSchema } from '../../../src/client/index.ts'

interface Question {
  readonly sku: string
}

declare const questionSchema: StandardSchema<Question, Question>
declare const priceSchema: StandardSchema<number, number>

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
function same<_T extends true>(): void {}

export async function requests(client: Client): Promise<void> {
  const prices = client.requester<Question, number>('prices')
  same<Equal<ReturnType<typeof prices.request>, Promise<number>>>()
  await prices.request({ sku: 'a' }, { timeoutMs: 5, signal: AbortSignal.timeout(1) })
  // @ts-expect-error: no such question
  await prices.request({ name: 'a' })
  // @ts-expect-error: no such option
  await prices.request({ sku: 'a' }, { timeout: 5 })
  for await (const part of prices.stream({ sku: 'a' })) same<Equal<typeof part, number>>()

  const checked = client.requester('prices', { schema: { request: questionSchema, reply: priceSchema } })
  same<Equal<Parameters<typeof checked.request>[0], Question>>()
  same<Equal<ReturnType<typeof checked.request>, Promise<number>>>()

  await client.responder<Question, number>('prices', ({ sku }, { signal }) => (signal.aborted ? 0 : sku.length))
  await client.responder<Question, number>('prices', async function* ({ sku }) {
    yield sku.length
  })
  // @ts-expect-error: text is no price
  await client.responder<Question, number>('prices', ({ sku }) => sku)
  // @ts-expect-error: neither is a part
  await client.responder<Question, number>('prices', async function* ({ sku }) {
    yield sku
  })
  // @ts-expect-error: no such option
  await client.responder<Question, number>('prices', () => 1, { parallel: 2 })
}

export async function tasks(client: Client): Promise<void> {
  const images = client.tasks<Question, { bytes: number }, number>('images')
  const handle = await images.submit({ sku: 'a' }, { delay: 5, group: 'g', retry: { attempts: 2 } })
  same<Equal<Awaited<ReturnType<typeof handle.result>>, { bytes: number }>>()
  handle.onProgress((done) => same<Equal<typeof done, number>>())
  for await (const done of handle) same<Equal<typeof done, number>>()
  // @ts-expect-error: no such job
  await images.submit({ id: 1 })
  await images.work(async ({ sku }, { progress }) => {
    await progress(1)
    // @ts-expect-error: progress is a number
    await progress('half')
    return { bytes: sku.length }
  })
  // @ts-expect-error: the result is missing
  await images.work(() => undefined)
  // @ts-expect-error: retries by the broker tell no submitter
  await images.work(() => ({ bytes: 1 }), { retry: 'broker' })
}

export async function channels(client: Client): Promise<void> {
  const ends: PushPop<number>[] = [channel<number>({ capacity: 1 }), client.channel<number>('numbers', { capacity: 1 })]
  for (const end of ends) {
    await end.push(1)
    // @ts-expect-error: numbers only
    await end.push('1')
    same<Equal<ReturnType<typeof end.pop>, Promise<number | undefined>>>()
    for await (const value of end) same<Equal<typeof value, number>>()
  }
  // @ts-expect-error: a channel is bounded
  client.channel<number>('numbers', {})
  const checked = client.channel('numbers', { capacity: 1, schema: priceSchema })
  // @ts-expect-error: the schema takes numbers
  await checked.push('1')
}
