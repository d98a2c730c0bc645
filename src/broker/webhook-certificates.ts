/**
 * Certificates that a webhook trusts, as PEM. They are public and shown: so nothing but certificates is kept, and a key that
 * somebody pastes besides is refused.
 */
import { X509Certificate } from 'node:crypto'

/** Of the text, in UTF-16 units. */
const lengthMax = 32 * 1024
const certificatesMax = 10

const certificatePattern = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g
const otherPattern = /-----BEGIN (?!CERTIFICATE-----)([A-Z0-9 ]{1,40})-----/

/** Null: they can be trusted. Repeats nothing of the text but what kind of thing stands in it. */
export function whyNoCertificates(value: unknown): string | null {
  if (typeof value !== 'string') return 'ca_certificates has to be a text with certificates as PEM'
  if (value.length > lengthMax) return `ca_certificates has more than ${lengthMax} characters`
  const other = otherPattern.exec(value)?.[1]
  if (other !== undefined) return `ca_certificates holds a ${other}; give it certificates only, it is shown to others`
  const found = value.match(certificatePattern) ?? []
  if (found.length === 0) return 'ca_certificates has to hold -----BEGIN CERTIFICATE----- and what belongs to it'
  if (found.length > certificatesMax) return `ca_certificates may hold ${certificatesMax} certificates`
  const bad = found.findIndex((pem) => !isCertificate(pem))
  return bad < 0 ? null : `certificate ${bad + 1} of ca_certificates cannot be read`
}

/** Only the certificates, whatever stands around them. */
export function readCertificates(text: string): string {
  return (text.match(certificatePattern) ?? []).map((pem) => `${pem}\n`).join('')
}

function isCertificate(pem: string): boolean {
  try {
    new X509Certificate(pem)
    return true
  } catch {
    // It says by codes of OpenSSL what an operator has no use for.
    return false
  }
}
