/** Exchanges, connections and channels in the dashboard, with real clients and hostile names, in Chromium. */
import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import amqplib from 'amqplib'
import { Broker } from '../../src/index.ts'
import { DashboardBrowser, fine, visit } from '../support/dashboard-browser.ts'
import { hostileNames, shownStart } from '../support/hostile-names.ts'
import { hasCommands, leftOut } from '../support/run-program.ts'

if (hasCommands('chromium')) inBrowser()
else leftOut('exchanges and connections of the dashboard in Chromium', 'chromium')

function inBrowser(): void {
  describe('the dashboard', async () => {
    const broker = await Broker.start({ storage: 'memory', port: 0, httpPort: 0, definitions: definitions() })
    after(() => broker.stop({ drainMs: 100 }))
    const browser = new DashboardBrowser(broker.httpUrl)

    it('draws where an exchange sends what it gets', async () => {
      const page = await browser.page('/exchanges')
      await page.getByRole('link', { name: 'orders', exact: true }).click()
      await page.getByRole('heading', { level: 1, name: 'orders' }).waitFor()
      const picture = page.getByRole('img', { name: 'Where messages come from and go to' })
      for (const text of ['eu.# +1', 'audit', 'first', 'sources'])
        await picture.locator('text', { hasText: text }).first().waitFor()
      await fine(page, 'exchange')
      await picture.locator('text', { hasText: 'first' }).click()
      await page.getByRole('heading', { level: 1, name: 'first' }).waitFor()
      await page.close()
    })

    it('draws hostile names, keys and arguments as text, and many of them', async () => {
      const page = await browser.page('/exchange/%2F/hostile')
      await page.locator('text', { hasText: 'and 2 more' }).waitFor()
      await page.getByRole('cell', { name: 'tab␉bell␇' }).waitFor()
      await page.getByRole('cell', { name: '"<b>x</b>":"⟨202E⟩"' }).first().waitFor()
      await fine(page, 'exchange-hostile')
      await page.setViewportSize({ width: 360, height: 740 })
      await fine(page, 'exchange-hostile-phone')
      for (const name of hostileNames.slice(0, 4)) {
        await visit(page, `/exchange/%2F/${encodeURIComponent(name)}`)
        await page.getByRole('heading', { level: 1, name: shownStart(name).slice(0, 20) }).waitFor()
      }
      await page.close()
    })

    it('makes an exchange, publishes to it and deletes it', async () => {
      const page = await browser.page('/exchanges')
      await page.getByRole('button', { name: 'New exchange' }).click()
      await page.getByLabel('Name', { exact: true }).fill('made')
      await page.getByLabel('Type').selectOption('fanout')
      await fine(page, 'exchange-new')
      await page.getByRole('button', { name: 'Create' }).click()
      await page.getByRole('heading', { level: 1, name: 'made' }).waitFor()
      await page.getByText('Publish a message').click()
      await page.getByLabel('Payload').fill('x')
      await page.getByRole('button', { name: 'Publish', exact: true }).click()
      await page.getByText('no queue is bound for it').waitFor()
      await page.getByRole('button', { name: 'Delete' }).click()
      await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
      await page.getByRole('heading', { level: 1, name: 'Exchanges' }).waitFor()
      await page.close()
    })

    it('shows who is connected, whatever they say of themselves, and cuts them off', async () => {
      const name = '<svg onload=alert(7)>\u202e\u0000worker'
      const connection = await amqplib.connect(broker.url, {
        clientProperties: { connection_name: name, '<i>': ['</td>', 1] },
      })
      const ended = new Promise<Error>((resolve) => connection.on('close', resolve))
      const channel = await connection.createConfirmChannel()
      await channel.prefetch(7)
      await channel.consume('first', () => {}, { consumerTag: '<h1>tag\u0007' })
      const page = await browser.page('/connections')
      await page.getByRole('link', { name: '<svg onload=alert(7)>⟨202E⟩␀worker' }).waitFor()
      await fine(page, 'connections')
      await page.getByRole('link', { name: 'Channels' }).click()
      await page.getByText('confirms', { exact: true }).waitFor()
      await fine(page, 'channels')
      await visit(page, '/queue/%2F/first')
      await page.getByRole('rowheader').getByText('<h1>tag␇').waitFor()
      await fine(page, 'queue-consumers')
      await visit(page, '/connections')
      await page.getByRole('link', { name: '<svg' }).click()
      await page.getByText('"</td>"').waitFor()
      await page.getByRole('cell', { name: '7', exact: true }).first().waitFor()
      await fine(page, 'connection')
      await page.getByRole('button', { name: 'Close the connection' }).click()
      await page.getByRole('dialog').getByRole('button', { name: 'Close the connection' }).click()
      assert.match(String(await ended), /320|Closed by hand/)
      await page.getByText('Nobody is connected').waitFor()
      await page.close()
    })
  })
}

function definitions(): Record<string, unknown> {
  const exchange = (name: string): object => {
    return { name, vhost: '/', type: 'topic', durable: true, auto_delete: false, internal: false, arguments: {} }
  }
  const queue = (name: string): object => ({ name, vhost: '/', durable: true, auto_delete: false, arguments: {} })
  const binding = (source: string, destination: string, key: string, kind = 'queue', args = {}): object => {
    return { source, vhost: '/', destination, destination_type: kind, routing_key: key, arguments: args }
  }
  return {
    vhosts: [{ name: '/' }],
    queues: ['first', 'second', ...hostileNames].map(queue),
    exchanges: ['orders', 'audit', 'sources', 'hostile', ...hostileNames].map(exchange),
    bindings: [
      binding('orders', 'first', 'eu.#'),
      binding('orders', 'first', 'us.#'),
      binding('orders', 'second', '#'),
      binding('orders', 'audit', '#', 'exchange'),
      binding('sources', 'orders', '#', 'exchange'),
      binding('hostile', 'first', 'tab\tbell\u0007'),
      ...hostileNames.map((name) => binding('hostile', name, name, 'queue', { '<b>x</b>': '\u202e' })),
    ],
  }
}
