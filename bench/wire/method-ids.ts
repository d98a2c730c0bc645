/** AMQP 0-9-1 method numbers, class in the upper 16 bits and method in the lower (AMQP 0-9-1 §4.2.4). */
export const MethodId = {
  ConnectionStart: 0x000a000a,
  ConnectionStartOk: 0x000a000b,
  ConnectionTune: 0x000a001e,
  ConnectionTuneOk: 0x000a001f,
  ConnectionOpen: 0x000a0028,
  ConnectionOpenOk: 0x000a0029,
  ConnectionClose: 0x000a0032,
  ConnectionCloseOk: 0x000a0033,
  ConnectionBlocked: 0x000a003c,
  ConnectionUnblocked: 0x000a003d,
  ChannelOpen: 0x0014000a,
  ChannelOpenOk: 0x0014000b,
  ChannelFlow: 0x00140014,
  ChannelFlowOk: 0x00140015,
  ChannelClose: 0x00140028,
  ChannelCloseOk: 0x00140029,
  ExchangeDeclare: 0x0028000a,
  ExchangeDeclareOk: 0x0028000b,
  ExchangeDelete: 0x00280014,
  ExchangeDeleteOk: 0x00280015,
  QueueDeclare: 0x0032000a,
  QueueDeclareOk: 0x0032000b,
  QueueBind: 0x00320014,
  QueueBindOk: 0x00320015,
  QueueDelete: 0x00320028,
  QueueDeleteOk: 0x00320029,
  BasicQos: 0x003c000a,
  BasicQosOk: 0x003c000b,
  BasicConsume: 0x003c0014,
  BasicConsumeOk: 0x003c0015,
  BasicCancel: 0x003c001e,
  BasicPublish: 0x003c0028,
  BasicReturn: 0x003c0032,
  BasicDeliver: 0x003c003c,
  BasicAck: 0x003c0050,
  BasicNack: 0x003c0078,
  ConfirmSelect: 0x0055000a,
  ConfirmSelectOk: 0x0055000b,
} as const

/** Frame types and the octet that ends each frame (AMQP 0-9-1 §4.2.3). */
export const FrameType = { Method: 1, Header: 2, Body: 3, Heartbeat: 8 } as const
export const frameEndOctet = 0xce
/** Octets of a frame that are not payload: type, channel, size; and the end octet. */
export const frameOverheadBytes = 8

/** `class.method` in numbers, for messages about what was not expected. */
export function showMethod(id: number): string {
  return `method ${id >>> 16}.${id & 0xffff}`
}
