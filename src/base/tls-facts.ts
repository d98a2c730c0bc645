/**
 * What is told of an encrypted socket, and of the peer's certificate: only of one that is in order, so that nobody can
 * take an unchecked name for a checked one.
 *
 * Names are what people log in as, so a certificate has those only that can be read in one way: no text with control
 * characters, none that Node had to quote (its answer to names made to look like several).
 */
import type * as net from 'node:net'
import * as tls from 'node:tls'
import type { PeerCertificate, TlsFacts } from './network.ts'

export function factsOf(socket: tls.TLSSocket): TlsFacts {
  const { standardName } = socket.getCipher() as tls.CipherNameAndProtocol & { standardName?: string }
  return {
    protocol: socket.getProtocol() ?? '',
    cipher: standardName ?? '',
    peer: socket.authorized ? peerOf(socket.getPeerCertificate()) : null,
  }
}

/** Null without TLS. */
export function tlsFactsOf(socket: net.Socket): TlsFacts | null {
  return socket instanceof tls.TLSSocket ? factsOf(socket) : null
}

function peerOf(certificate: tls.PeerCertificate): PeerCertificate | null {
  // Node's answer when there is none is an empty object.
  if (certificate.raw === undefined) return null
  return {
    subject: distinguishedName(certificate.subject),
    issuer: distinguishedName(certificate.issuer),
    validFrom: Date.parse(certificate.valid_from),
    validTo: Date.parse(certificate.valid_to),
    names: {
      cn: valuesOf(certificate.subject, 'CN').filter(isPlain),
      ...alternativeNames(certificate.subjectaltname ?? ''),
    },
  }
}

/** Values stand in the order of the certificate; several of one kind are a list. */
function valuesOf(name: tls.Certificate, kind: string): string[] {
  const value: unknown = (name as unknown as Readonly<Record<string, unknown>>)[kind]
  if (Array.isArray(value)) return value.filter((each) => typeof each === 'string')
  return typeof value === 'string' ? [value] : []
}

function distinguishedName(name: tls.Certificate): string {
  return Object.keys(name)
    .flatMap((kind) => valuesOf(name, kind).map((value) => `${kind}=${value}`))
    .join(',')
}

const kinds = { DNS: 'dns', email: 'email', URI: 'uri' } as const

/** `DNS:a.example, email:b@c.example`. A quoted one makes all of them doubtful. */
export function alternativeNames(text: string): Record<'dns' | 'email' | 'uri', readonly string[]> {
  const names: Record<'dns' | 'email' | 'uri', string[]> = { dns: [], email: [], uri: [] }
  if (text.includes('"')) return names
  for (const entry of text.split(', ')) {
    const colon = entry.indexOf(':')
    const kind = kinds[entry.slice(0, colon) as keyof typeof kinds]
    const value = entry.slice(colon + 1)
    if (kind !== undefined && isPlain(value)) names[kind].push(value)
  }
  return names
}

function isPlain(value: string): boolean {
  return value !== '' && !/\p{Cc}/u.test(value)
}
