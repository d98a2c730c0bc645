/** Queues in the dashboard: named by an enemy, in great numbers, looked into, filled, emptied and deleted, in Chromium. */
import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { Broker } from '../../src/index.ts'
import { DashboardBrowser, fine, visit } from '../support/dashboard-browser.ts'
import { hostileNames, shownStart } from '../support/hostile-names.ts'
import { hasCommands, leftOut } from '../support/run-program.ts'

if (hasCommands('chromium')) inBrowser()
else leftOut('queues of the dashboard in Chromium', 'chromium')

function inBrowser(): void {
  describe('queues in the dashboard', async () => {
    const broker = await Broker.start({ storage: 'memory', port: 0, httpPort: 0, definitions: definitions() })
    after(() => broker.stop({ drainMs: 100 }))
    const browser = new DashboardBrowser(broker.httpUrl)

    it('are listed whatever their names are, and each leads to its page', async () => {
      const page = await browser.page('/queues')
      for (const name of hostileNames) {
        await visit(page, `/queues?${new URLSearchParams({ name })}`)
        await page.getByRole('rowheader').getByText(shownStart(name)).first().waitFor()
        await fine(page, 'queues-hostile')
      }
      for (const name of hostileNames) {
        await visit(page, `/queue/%2F/${encodeURIComponent(name)}`)
        await page.getByRole('heading', { level: 1, name: shownStart(name).trim().slice(0, 20) }).waitFor()
        await page.getByText('Nobody consumes from this queue').waitFor()
        await fine(page, 'queue-hostile')
      }
      await page.setViewportSize({ width: 360, height: 740 })
      await fine(page, 'queue-hostile-phone')
      await visit(page, `/queues?sort=name&sort_reverse=true`)
      await page.getByText('plain-99', { exact: true }).waitFor()
      await fine(page, 'queues-hostile-phone')
      await page.close()
    })

    it('are searched, sorted and paged by the broker', async () => {
      const page = await browser.page('/queues')
      await page.getByLabel('Search names').fill('PLAIN-')
      await page.getByText('1–50 of 120').waitFor()
      await page.getByRole('button', { name: 'Next page' }).click()
      await page.getByText('51–100 of 120').waitFor()
      assert.match(page.url(), /name=PLAIN-&page=2|page=2.*name=PLAIN-/)
      const order = (): Promise<string | null> =>
        page.getByRole('columnheader', { name: 'Name' }).getAttribute('aria-sort')
      assert.equal(await order(), 'ascending')
      await page.getByRole('button', { name: 'Name' }).click()
      await page.getByRole('rowheader').first().getByText('plain-99', { exact: true }).waitFor()
      assert.equal(await order(), 'descending')
      await page.getByRole('button', { name: 'Name' }).click()
      await page.getByRole('rowheader').first().getByText('plain-0', { exact: true }).waitFor()
      await page.getByLabel('as an expression').check()
      await page.getByLabel('Search names').fill('^plain-1[01]$')
      await page.getByText('1–2 of 2').waitFor()
      await page.getByLabel('Search names').fill('nothing')
      await page.getByText('Nothing has such a name').waitFor()
      await fine(page, 'queues-search')
      await page.close()
    })

    it('are made, filled, looked into, emptied and deleted', async () => {
      const page = await browser.page('/queues')
      await page.getByRole('button', { name: 'New queue' }).click()
      await page.getByLabel('Arguments').fill('{"x-max-length": "many"}')
      await page.getByLabel('Name', { exact: true }).fill('made <b>here</b>')
      await page.getByRole('button', { name: 'Create' }).click()
      await page.getByRole('alert').getByText('x-max-length').waitFor()
      await page.getByLabel('Arguments').fill('{"x-max-length": 10}')
      await fine(page, 'queue-new')
      await page.getByRole('button', { name: 'Create' }).click()
      await page.getByRole('heading', { level: 1, name: 'made <b>here</b>' }).waitFor()
      await page.getByText('Publish a message').click()
      await page.getByLabel('Payload').fill('{"text": "<i onclick=alert(6)>\u202eabc</i>"}')
      await page.getByLabel('Headers (JSON)').fill('{"<u>key</u>": "\\u0007"}')
      await page.getByRole('button', { name: 'Publish', exact: true }).click()
      await page.getByText('Published.').waitFor()
      await page.getByText('Look inside').click()
      await page.getByRole('button', { name: 'From the start' }).click()
      await page.getByText('"text": "<i onclick=alert(6)>⟨202E⟩abc</i>"').waitFor()
      await page.getByText('<u>key</u>').waitFor()
      await page.getByText('␇').waitFor()
      await fine(page, 'queue-inside')
      await page.getByRole('button', { name: 'Purge' }).click()
      await page.getByRole('dialog').getByRole('button', { name: 'Purge' }).click()
      await page.getByText('Purged.').waitFor()
      await page.locator('[data-tile=ready]').getByText('0').waitFor()
      await page.getByRole('button', { name: 'Delete' }).click()
      await page.getByRole('dialog').waitFor()
      await page.keyboard.press('Escape')
      await page.getByRole('dialog').waitFor({ state: 'detached' })
      await page.getByRole('button', { name: 'Delete' }).click()
      await fine(page, 'queue-delete')
      await page.keyboard.press('Tab')
      await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).press('Enter')
      await page.getByRole('heading', { level: 1, name: 'Queues' }).waitFor()
      await page.close()
    })

    it('are bound and unbound', async () => {
      const page = await browser.page('/queue/%2F/plain-1')
      await page.locator('summary', { hasText: 'Bind' }).click()
      await page.getByLabel('Exchange').fill('amq.topic')
      await page.getByLabel('Routing key').first().fill('orders.#')
      await page.getByRole('button', { name: 'Bind' }).click()
      await page.getByRole('cell', { name: 'orders.#' }).waitFor()
      await fine(page, 'queue-bound')
      await page.getByRole('button', { name: 'Unbind' }).click()
      await page.getByRole('dialog').getByRole('button', { name: 'Unbind' }).click()
      await page.getByText('No bindings.').waitFor()
      await page.close()
    })
  })
}

function definitions(): Record<string, unknown> {
  const plain = Array.from({ length: 120 }, (_, number) => `plain-${number}`)
  const queues = [...hostileNames, ...plain].map((name) => ({
    name,
    vhost: '/',
    durable: true,
    auto_delete: false,
    arguments: {},
  }))
  return { vhosts: [{ name: '/' }], queues }
}
