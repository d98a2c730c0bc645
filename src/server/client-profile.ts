import { emptyTable, type FieldTable } from '../amqp/field-table.ts'

/** What a client has told of itself in `connection.start-ok`. */
export interface ClientProfile {
  readonly properties: FieldTable
  /** Its own name for the connection; empty if it gave none. */
  readonly connectionName: string
  /** It understands `basic.cancel` from the server. */
  readonly takesCancel: boolean
  /** It understands `connection.blocked`. */
  readonly takesBlocked: boolean
  /** It wants to be told when its login fails; others only see the socket close. */
  readonly takesLoginFailure: boolean
}

export const unknownClient: ClientProfile = readClientProfile(emptyTable)

export function readClientProfile(properties: FieldTable): ClientProfile {
  const field = properties.fields.get('capabilities')
  const capabilities = field?.tag === 'F' ? field.value : emptyTable
  const name = properties.fields.get('connection_name')
  const isOn = (capability: string): boolean => capabilities.fields.get(capability)?.value === true
  return {
    properties,
    connectionName: name?.tag === 'S' ? name.value : '',
    takesCancel: isOn('consumer_cancel_notify'),
    takesBlocked: isOn('connection.blocked'),
    takesLoginFailure: isOn('authentication_failure_close'),
  }
}
