/**
 * AMQP 0-9-1's methods (with RabbitMQ's extensions) as one line each: ids, name, arguments in wire order. Written from
 * the published specification for the tests alone, so that the broker's own codec is proved against another one.
 *
 * Argument types: `octet short long longlong shortstr longstr table`, and `bit`, of which up to eight neighbours share
 * an octet. Names beginning with `-` are reserved: sent as zero, not shown when read.
 */

export type ArgumentType = 'octet' | 'short' | 'long' | 'longlong' | 'shortstr' | 'longstr' | 'table' | 'bit'

export interface MethodSpec {
  readonly name: string
  readonly classId: number
  readonly methodId: number
  readonly args: readonly { readonly name: string; readonly type: ArgumentType }[]
}

const lines = `
10 10 connection.start            octet:versionMajor octet:versionMinor table:serverProperties longstr:mechanisms longstr:locales
10 11 connection.start-ok         table:clientProperties shortstr:mechanism longstr:response shortstr:locale
10 20 connection.secure           longstr:challenge
10 21 connection.secure-ok        longstr:response
10 30 connection.tune             short:channelMax long:frameMax short:heartbeat
10 31 connection.tune-ok          short:channelMax long:frameMax short:heartbeat
10 40 connection.open             shortstr:vhost shortstr:-capabilities bit:-insist
10 41 connection.open-ok          shortstr:-knownHosts
10 50 connection.close            short:replyCode shortstr:replyText short:classId short:methodId
10 51 connection.close-ok
10 60 connection.blocked          shortstr:reason
10 61 connection.unblocked
10 70 connection.update-secret    longstr:newSecret shortstr:reason
10 71 connection.update-secret-ok
20 10 channel.open                shortstr:-outOfBand
20 11 channel.open-ok             longstr:-channelId
20 20 channel.flow                bit:active
20 21 channel.flow-ok             bit:active
20 40 channel.close               short:replyCode shortstr:replyText short:classId short:methodId
20 41 channel.close-ok
40 10 exchange.declare            short:-ticket shortstr:exchange shortstr:type bit:passive bit:durable bit:autoDelete bit:internal bit:noWait table:arguments
40 11 exchange.declare-ok
40 20 exchange.delete             short:-ticket shortstr:exchange bit:ifUnused bit:noWait
40 21 exchange.delete-ok
40 30 exchange.bind               short:-ticket shortstr:destination shortstr:source shortstr:routingKey bit:noWait table:arguments
40 31 exchange.bind-ok
40 40 exchange.unbind             short:-ticket shortstr:destination shortstr:source shortstr:routingKey bit:noWait table:arguments
40 51 exchange.unbind-ok
50 10 queue.declare               short:-ticket shortstr:queue bit:passive bit:durable bit:exclusive bit:autoDelete bit:noWait table:arguments
50 11 queue.declare-ok            shortstr:queue long:messageCount long:consumerCount
50 20 queue.bind                  short:-ticket shortstr:queue shortstr:exchange shortstr:routingKey bit:noWait table:arguments
50 21 queue.bind-ok
50 30 queue.purge                 short:-ticket shortstr:queue bit:noWait
50 31 queue.purge-ok              long:messageCount
50 40 queue.delete                short:-ticket shortstr:queue bit:ifUnused bit:ifEmpty bit:noWait
50 41 queue.delete-ok             long:messageCount
50 50 queue.unbind                short:-ticket shortstr:queue shortstr:exchange shortstr:routingKey table:arguments
50 51 queue.unbind-ok
60 10 basic.qos                   long:prefetchSize short:prefetchCount bit:global
60 11 basic.qos-ok
60 20 basic.consume               short:-ticket shortstr:queue shortstr:consumerTag bit:noLocal bit:noAck bit:exclusive bit:noWait table:arguments
60 21 basic.consume-ok            shortstr:consumerTag
60 30 basic.cancel                shortstr:consumerTag bit:noWait
60 31 basic.cancel-ok             shortstr:consumerTag
60 40 basic.publish               short:-ticket shortstr:exchange shortstr:routingKey bit:mandatory bit:immediate
60 50 basic.return                short:replyCode shortstr:replyText shortstr:exchange shortstr:routingKey
60 60 basic.deliver               shortstr:consumerTag longlong:deliveryTag bit:redelivered shortstr:exchange shortstr:routingKey
60 70 basic.get                   short:-ticket shortstr:queue bit:noAck
60 71 basic.get-ok                longlong:deliveryTag bit:redelivered shortstr:exchange shortstr:routingKey long:messageCount
60 72 basic.get-empty             shortstr:-clusterId
60 80 basic.ack                   longlong:deliveryTag bit:multiple
60 90 basic.reject                longlong:deliveryTag bit:requeue
60 100 basic.recover-async        bit:requeue
60 110 basic.recover              bit:requeue
60 111 basic.recover-ok
60 120 basic.nack                 longlong:deliveryTag bit:multiple bit:requeue
85 10 confirm.select              bit:noWait
85 11 confirm.select-ok
90 10 tx.select
90 11 tx.select-ok
90 20 tx.commit
90 21 tx.commit-ok
90 30 tx.rollback
90 31 tx.rollback-ok
`

const methods: readonly MethodSpec[] = lines.trim().split('\n').map(parse)
const byName = new Map(methods.map((method) => [method.name, method]))
const byIds = new Map(methods.map((method) => [`${method.classId}.${method.methodId}`, method]))

/** The methods that a content header and bodies follow. */
export const contentMethods: ReadonlySet<string> = new Set([
  'basic.publish',
  'basic.return',
  'basic.deliver',
  'basic.get-ok',
])

export function methodNamed(name: string): MethodSpec {
  const method = byName.get(name)
  if (method === undefined) throw new Error(`no method '${name}' in AMQP 0-9-1`)
  return method
}

export function methodWithIds(classId: number, methodId: number): MethodSpec {
  const method = byIds.get(`${classId}.${methodId}`)
  if (method === undefined) throw new Error(`no method ${classId}.${methodId} in AMQP 0-9-1`)
  return method
}

function parse(line: string): MethodSpec {
  const [classId = '', methodId = '', name = '', ...args] = line.trim().split(/\s+/)
  return {
    name,
    classId: Number(classId),
    methodId: Number(methodId),
    args: args.map((arg) => {
      const [type = '', argumentName = ''] = arg.split(':')
      return { name: argumentName, type: type as ArgumentType }
    }),
  }
}
