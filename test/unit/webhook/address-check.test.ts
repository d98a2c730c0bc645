/** Which addresses a webhook may go to: hostile ones in every form, names that lead to them, and what an operator allows. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ManualClock } from '../../../src/base/clock.ts'
import { readAllowedTargets } from '../../../src/config.ts'
import { allowedOf, CheckedHost, mayConnect, whyRefused } from '../../../src/webhook/address-check.ts'

const nothing = allowedOf({ networks: [], hosts: [] })
const allowed = (text: string) => allowedOf(readAllowedTargets(text))

/** What only this machine, its network or its cloud reaches; by the host of a URL. */
const hostile: readonly string[] = [
  ...['127.0.0.1', '127.1', '127.255.255.254', '0x7f.0.0.1', '0x7f000001', '2130706433', '0177.0.0.1', '017700000001'],
  ...['127.0.0.1.', '%31%32%37.0.0.1', '①②⑦.⓪.⓪.①', '0', '0.0.0.0', '0.1.2.3'],
  ...['10.0.0.1', '10.255.255.255', '172.16.0.1', '172.31.255.255', '192.168.0.1', '192.168.255.255', '0xa000001'],
  ...['169.254.169.254', '169.254.0.1', '0xa9fea9fe', '2852039166', '168.63.129.16', '100.64.0.1', '100.100.100.200'],
  ...['100.127.255.255', '192.0.0.1', '192.0.0.192', '192.0.2.1', '192.88.99.1', '198.18.0.1', '198.19.255.255'],
  ...['198.51.100.1', '203.0.113.1', '224.0.0.1', '239.255.255.255', '240.0.0.1', '255.255.255.255'],
  ...['[::]', '[::1]', '[::127.0.0.1]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[::ffff:169.254.169.254]'],
  ...['[::ffff:8.8.8.8]', '[64:ff9b::7f00:1]', '[64:ff9b::8.8.8.8]', '[64:ff9b:1::1]', '[100::1]', '[2001::1]'],
  ...[
    '[2001:db8::1]',
    '[2002:7f00:1::]',
    '[2002:a9fe:a9fe::1]',
    '[3fff::1]',
    '[5f00::1]',
    '[fc00::1]',
    '[fd00:ec2::254]',
  ],
  ...['[fdff::1]', '[fe80::1]', '[febf::1]', '[fec0::1]', '[ff02::1]', '[ff0e::1]', '[4000::1]'],
]

describe('an address of a webhook', () => {
  for (const host of hostile) {
    it(`is refused as ${host}`, () => {
      const url = new URL(`http://${host}/hook`)
      assert.match(String(whyRefused(url, nothing)), /is not on the internet and not in webhook-allow/)
    })
  }

  for (const host of [
    '8.8.8.8',
    '1.1.1.1',
    '172.15.0.1',
    '172.32.0.1',
    '100.63.0.1',
    '[2606:4700::1111]',
    '[2a00:1450::1]',
  ]) {
    it(`is taken as ${host}`, () => {
      assert.equal(whyRefused(new URL(`https://${host}/`), nothing), null)
    })
  }

  it('with a zone, or none at all, is refused', () => {
    for (const address of ['fe80::1%eth0', '2606:4700::1%lo', '', 'localhost', '1.2.3', '127.1']) {
      assert.equal(mayConnect(address, 'shop.example', nothing), false, address)
    }
  })

  it('is taken when its network is allowed, and the next one is not', () => {
    const some = allowed('10.1.0.0/16, 192.168.7.9, fd12::/16')
    for (const address of ['10.1.0.1', '10.1.255.255', '192.168.7.9', 'fd12::1']) {
      assert.equal(mayConnect(address, 'x', some), true, address)
    }
    for (const address of ['10.2.0.1', '192.168.7.8', 'fd13::1', '127.0.0.1']) {
      assert.equal(mayConnect(address, 'x', some), false, address)
    }
  })

  it('of an allowed host is taken wherever it is, but not where a cloud keeps its secrets', () => {
    const some = allowed('hooks.internal')
    for (const address of ['10.1.0.1', '127.0.0.1', 'fd12::1']) {
      assert.equal(mayConnect(address, 'HOOKS.internal', some), true, address)
      assert.equal(mayConnect(address, 'other.internal', some), false, address)
    }
    for (const address of ['169.254.169.254', 'fd00:ec2::254', '::ffff:a9fe:a9fe', '0.0.0.0', '224.0.0.1', 'fe80::1']) {
      assert.equal(mayConnect(address, 'hooks.internal', some), false, address)
    }
    assert.equal(mayConnect('169.254.169.254', 'x', allowed('169.254.169.254')), true, 'it was named')
  })
})

describe('the option webhook-allow', () => {
  it('refuses what is neither network, address nor host, with a sentence', () => {
    for (const text of [
      '10.0.0.0/33',
      '::/129',
      '10.0.0.0/',
      'a b',
      'http://x',
      '',
      '10.0.0',
      '0x7f.1',
      'fe80::1%eth0',
      'x/8',
      '1.2.3.4/8/8',
    ]) {
      assert.throws(() => readAllowedTargets(text), /^Error: webhook-allow: .* is none of these; give networks/, text)
    }
    assert.deepEqual(readAllowedTargets('none'), { networks: [], hosts: [] })
  })
})

describe('a name of a host', () => {
  const checked = (answers: readonly (readonly string[])[], clock = new ManualClock()) => {
    let asked = 0
    const resolve = (): Promise<readonly string[]> => Promise.resolve(answers[asked++] ?? [])
    const host = new CheckedHost('shop.example', { resolver: { resolve }, clock, allowed: () => nothing })
    return { host, clock, asked: () => asked }
  }

  it('is refused when one of its addresses is closed', async () => {
    const { host } = checked([['8.8.8.8', '127.0.0.1']])
    await assert.rejects(host.addresses(), /^Error: shop.example is 127.0.0.1, which is not on the internet/)
  })

  it('that leads to another address afterwards is judged anew, and what was judged is what is given', async () => {
    const { host, clock } = checked([['8.8.8.8'], ['127.0.0.1'], ['8.8.4.4']])
    assert.deepEqual(await host.addresses(), ['8.8.8.8'])
    clock.advance(9_999)
    assert.deepEqual(await host.addresses(), ['8.8.8.8'], 'it is remembered')
    clock.advance(1)
    await assert.rejects(host.addresses(), /shop.example is 127.0.0.1/)
    clock.advance(999)
    await assert.rejects(host.addresses(), /shop.example is 127.0.0.1/)
    clock.advance(1)
    assert.deepEqual(await host.addresses(), ['8.8.4.4'])
  })

  it('is looked up once for many who ask at the same time', async () => {
    const { host, asked } = checked([['8.8.8.8']])
    await Promise.all([host.addresses(), host.addresses(), host.addresses()])
    assert.equal(asked(), 1)
  })
})
