/**
 * The options of who may come in and how: TLS, tokens; and where webhooks may go. Rows like those of `options.ts`, of which they are a part; how they fit together
 * is checked by `access-settings.ts`.
 */
import { choice, type Option, port, unset } from './option.ts'

export const accessOptions = {
  tlsPort: port('tls-port', 'none', 'TCP port for AMQP over TLS (usually 5671); 0 takes a free one, which is printed.'),
  httpsPort: port(
    'https-port',
    'none',
    'TCP port for HTTPS and AMQP over WebSocket with TLS (usually 15671); 0 takes a free one, which is printed.',
  ),
  tlsCertificate: unset(
    'tls-cert',
    'the path of a PEM file',
    '/etc/warren/server.crt',
    'Certificate that clients are shown, with those between it and its authority; read again when it changes.',
  ),
  tlsKey: unset('tls-key', 'the path of a PEM file', '/etc/warren/server.key', 'Its key.'),
  tlsAuthority: unset(
    'tls-ca',
    'the path of a PEM file',
    '/etc/warren/clients-ca.crt',
    'Whose certificates clients may show.',
  ),
  tlsVerify: choice(
    'tls-verify',
    ['none', 'optional', 'required'],
    'none',
    'Whether clients are asked for a certificate of `tls-ca`; one that is shown must be in order.',
  ),
  tlsMinVersion: choice('tls-min-version', ['1.2', '1.3'], '1.2', 'The oldest TLS that is spoken; 1.3 is preferred.'),
  tlsUserFrom: choice(
    'tls-user-from',
    ['cn', 'dns', 'email', 'uri'],
    'cn',
    'Which name in a certificate is the user that mechanism EXTERNAL logs in: common name, or alternative name.',
  ),
  oauthIssuer: unset(
    'oauth-issuer',
    'the address of an OAuth 2 server as its tokens name it',
    'https://login.example/realms/shop',
    'Whose tokens (JWT) log in; `none` takes no tokens.',
  ),
  oauthAudience: unset(
    'oauth-audience',
    'a name',
    'warren',
    'What those tokens must be made for; scopes that count begin with it and a point.',
  ),
  oauthKeysUrl: unset(
    'oauth-jwks-url',
    'an address that begins with https:',
    'https://login.example/realms/shop/certs',
    'Where that server publishes its keys;',
  ),
  oauthKeyFile: unset(
    'oauth-key-file',
    'the path of a PEM or JSON file',
    '/etc/warren/oauth.pem',
    'or a file with its public key (PEM) or keys (JSON).',
  ),
  webhookAllow: unset(
    'webhook-allow',
    'networks, addresses or names of hosts with commas between',
    '10.1.0.0/16, hooks.internal',
    'Where webhooks may go besides the public internet; `none` is nowhere.',
  ),
} as const satisfies Record<string, Option<unknown>>

/** Names of the options here. */
export type AccessField = keyof typeof accessOptions
