/**
 * What must compile, and what must not: the compiler is the test. Each line below a directive is wrong, and the build fails when
 * the compiler thinks otherwise. `types.test.ts` only sees to it that this file is compiled at all.
 */
import {
  type Client,
  type Codec,
  type Message,
  type Queue,
  type StandardSchema,
  WarrenError,
} from '../../../src/client/index.ts'

interface Order {
  readonly id: number
  readonly items: readonly string[]
}

declare const orderSchema: StandardSchema<{ id: string }, Order>
declare const pointCodec: Codec<{ x: number }>

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
function same<_T extends true>(): void {}

export async function types(client: Client): Promise<void> {
  const orders = client.queue<Order>('orders')
  await orders.send({ id: 1, items: ['a'] }, { delay: 5, at: new Date(), headers: { a: [1, { b: null }] } })
  // @ts-expect-error: an item is missing
  await orders.send({ id: 1 })
  // @ts-expect-error: not of that type
  await orders.sendMany([{ id: 'x', items: [] }])
  // @ts-expect-error: no such option
  await orders.send({ id: 1, items: [] }, { delays: 5 })
  // @ts-expect-error: functions are no header values
  await orders.send({ id: 1, items: [] }, { headers: { a: () => 1 } })
  await orders.consume((message) => {
    same<Equal<typeof message, Message<Order>>>()
    // @ts-expect-error: not in an order
    message.body.price
    // @ts-expect-error: a body is not changed
    message.body.id = 2
  })
  for await (const message of orders) same<Equal<typeof message.body, Order>>()

  const checked = client.queue('checked', { schema: orderSchema })
  same<Equal<typeof checked, Queue<{ id: string }, Order>>>()
  await checked.send({ id: '1' })
  // @ts-expect-error: the schema takes text
  await checked.send({ id: 1 })
  await checked.consume(({ body }) => same<Equal<typeof body, Order>>())

  same<Equal<ReturnType<typeof text.get>, Promise<Message<string> | null>>>()
  const text = client.queue('text', { codec: 'text' })
  // @ts-expect-error: text only
  await text.send(5)
  // @ts-expect-error: bytes only
  await client.queue('bytes', { codec: 'bytes' }).send('x')
  await client.queue('points', { codec: pointCodec }).send({ x: 1 })
  // @ts-expect-error: the codec's type
  await client.queue('points', { codec: pointCodec }).send({ y: 1 })

  const topic = client.topic('events', { schema: orderSchema })
  await topic.send('a.b', { id: '1' })
  // @ts-expect-error: the routing key comes first
  await topic.send({ id: '1' })
  await topic.subscribe('a.*', ({ body }) => same<Equal<typeof body, Order>>())
  same<Equal<ReturnType<typeof topic.queue>, Queue<{ id: string }, Order>>>()

  // @ts-expect-error: no such option
  client.queue('q', { durability: true })
  // @ts-expect-error: one of a few
  client.queue('q', { overflow: 'drop-tail' })
  await orders.consume(() => undefined, { lease: { ms: 5, extend: 'auto' }, retry: 'broker' })
  // @ts-expect-error: one of a few
  await orders.consume(() => undefined, { retry: 'never' })
  client.on('reconnecting', ({ attempt, delayMs }) => attempt + delayMs)
  // @ts-expect-error: no such event
  client.on('closed', () => undefined)

  const error = new WarrenError('CLOSED', 'It is closed.', { mend: 'Open it.' })
  // @ts-expect-error: no such code
  if (error.code === 'OPEN') return
}
