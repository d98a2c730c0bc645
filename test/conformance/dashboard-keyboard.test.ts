/** The dashboard by keyboard alone: every page's links, buttons and fields are reached in turn, and it is seen where one is. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import amqplib from 'amqplib'
import type { Page } from 'playwright-core'
import { Broker } from '../../src/index.ts'
import { DashboardBrowser, visit } from '../support/dashboard-browser.ts'
import { eventually } from '../support/eventually.ts'
import { hasCommands, leftOut } from '../support/run-program.ts'

if (hasCommands('chromium')) inBrowser()
else leftOut('the dashboard by keyboard in Chromium', 'chromium')

/** What can be worked with, in the document's order; those that are shut away or switched off are not. */
const reachable = `[...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')]
  .filter((one) => one.checkVisibility({ visibilityProperty: true }) && !one.disabled)`

/** Where the focus is: which of them, and whether something around it says so; null: at none. */
const here = `(() => {
  const at = document.activeElement
  const index = ${reachable}.indexOf(at)
  const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(at)
  const isSeen = (outlineStyle !== 'none' && parseFloat(outlineWidth) > 0) || boxShadow !== 'none'
  return index < 0 ? null : { index, isSeen, what: at.outerHTML.slice(0, 120) }
})()`

/** A page's lists change while one goes through them; the focus must not be lost by that. */
const stepsMax = 400

async function goThrough(page: Page, place: string): Promise<void> {
  const count = Number(await page.evaluate(`${reachable}.length`))
  const seen = new Set<number>()
  await page.evaluate('document.activeElement.blur()')
  for (let step = 0; step < Math.min(stepsMax, count * 2) && seen.size < count; step++) {
    await page.keyboard.press('Tab')
    const at = (await page.evaluate(here)) as { index: number; isSeen: boolean; what: string } | null
    if (at === null) continue
    assert.ok(at.isSeen, `${place}: nothing shows that the focus is at ${at.what}`)
    seen.add(at.index)
  }
  const missed = (await page.evaluate(`${reachable}.map((one) => one.outerHTML.slice(0, 120))`)) as string[]
  const names = missed.filter((_, index) => !seen.has(index))
  assert.ok(seen.size >= count, `${place}: ${names.length} are not reached: ${names.join(' | ')}`)
}

function inBrowser(): void {
  describe('the dashboard by keyboard', () => {
    let broker: Broker
    before(async () => {
      broker = await Broker.start({ storage: 'memory', port: 0, httpPort: 0 })
      const connection = await amqplib.connect(broker.url)
      const channel = await connection.createConfirmChannel()
      await channel.assertQueue('dead')
      await channel.assertQueue('orders', {
        arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' },
      })
      await channel.assertQueue('events', { durable: true, arguments: { 'x-queue-type': 'stream' } })
      await channel.bindQueue('orders', 'amq.topic', 'order.*')
      for (const key of ['orders', 'orders', 'events']) channel.sendToQueue(key, Buffer.from('{}'), { messageId: 'm' })
      channel.sendToQueue('orders', Buffer.from('later'), { messageId: 'later', headers: { 'x-delay': 3_600_000 } })
      await channel.waitForConfirms()
      const got = await channel.get('orders')
      if (got !== false) channel.nack(got, false, false)
      await channel.waitForConfirms()
      after(() => connection.close().catch(() => {}))
    })
    after(() => broker.stop({ drainMs: 100 }))

    it('is logged in to, and out of', async () => {
      const page = await new DashboardBrowser(broker.httpUrl).page('/', { login: null })
      await page.locator('input[name=name]').waitFor()
      await page.keyboard.type('guest')
      await page.keyboard.press('Tab')
      await page.keyboard.type('guest')
      await page.keyboard.press('Enter')
      await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor()
      await page.getByRole('button', { name: 'Log out' }).focus()
      await page.keyboard.press('Enter')
      await page.locator('input[name=name]').waitFor()
    })

    it('is reached wholly on every page, and shows where one is', async () => {
      const page = await new DashboardBrowser(broker.httpUrl).page('/')
      const things = ['/queue/%2F/orders', '/queue/%2F/events', '/exchange/%2F/amq.topic', '/user/guest', '/vhost/%2F']
      const waiting = ['/scheduled', '/scheduled/%2F/orders', '/dead-letters', '/dead-letters/%2F/dead']
      const lists = ['/', '/queues', '/streams', '/exchanges', '/connections', '/channels', '/policies', '/parameters']
      for (const place of [...lists, '/vhosts', '/users', '/definitions', '/cluster', ...things, ...waiting]) {
        await visit(page, place)
        await page.getByRole('heading', { level: 1 }).waitFor()
        await page.waitForTimeout(700)
        await goThrough(page, place)
      }
    })

    it('skips what is the same on every page, and gives the focus back after a question', async () => {
      const page = await new DashboardBrowser(broker.httpUrl).page('/queue/%2F/orders')
      await page.getByRole('button', { name: 'Purge' }).focus()
      await page.keyboard.press('Enter')
      await page.getByRole('dialog').waitFor()
      await page.keyboard.press('Escape')
      const isBack = async (): Promise<boolean> =>
        (await page.evaluate('document.activeElement.textContent')) === 'Purge'
      await eventually('the focus is where it was', isBack)
      await page.evaluate(`${reachable}[0].focus()`)
      await page.keyboard.press('Enter')
      assert.equal(await page.evaluate('document.activeElement.id'), 'main')
    })
  })
}
