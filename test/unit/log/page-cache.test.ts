import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Page, PageCache } from '../../../src/log/file/page-cache.ts'

const pageBytes = 16

function put(cache: PageCache, number: number): Page {
  const page = cache.take()
  cache.put(page, number, pageBytes, null)
  return page
}

describe('the page cache', () => {
  test('stays below its limit and keeps what was used last', () => {
    const cache = new PageCache(pageBytes, 6 * pageBytes)
    for (let number = 0; number < 6; number++) put(cache, number)
    cache.find(0)
    for (let number = 6; number < 11; number++) put(cache, number)
    assert.equal(cache.count, 6)
    assert.ok(cache.find(0) !== null, 'it was used')
    assert.equal(cache.find(1), null)
  })

  test('never evicts pinned pages nor the one that was loaded last, and shrinks when they are unpinned', () => {
    const cache = new PageCache(pageBytes, 4 * pageBytes)
    put(cache, 100)
    cache.markLoaded(100)
    const pinned = [0, 1, 2, 3, 4, 5].map((number) => {
      const page = put(cache, number)
      cache.pin(page)
      return page
    })
    for (let number = 10; number < 20; number++) put(cache, number)
    for (const number of [0, 1, 2, 3, 4, 5, 100]) assert.ok(cache.find(number) !== null, `${number} is there`)
    for (const page of pinned) cache.unpin(page)
    assert.equal(cache.count, 4)
    assert.ok(cache.find(100) !== null)
  })

  test('takes the number from a page that is evicted, so that nobody reads another one through it', () => {
    const cache = new PageCache(pageBytes, 4 * pageBytes)
    const first = put(cache, 0)
    for (let number = 1; number < 4; number++) put(cache, number)
    assert.equal(cache.take(), first)
    assert.equal(first.number, -1, 'while it is filled with something else')
  })

  test('drops a range and uses the memory again', () => {
    const cache = new PageCache(pageBytes, 8 * pageBytes)
    for (let number = 0; number < 8; number++) put(cache, number)
    cache.drop(2, 6)
    assert.equal(cache.find(3), null)
    assert.ok(cache.find(6) !== null)
    for (let number = 20; number < 24; number++) put(cache, number)
    assert.equal(cache.count, 8)
  })

  test('hides what is damaged or not verified', () => {
    const cache = new PageCache(pageBytes, 4 * pageBytes)
    const page = cache.take()
    cache.put(page, 1, 12, [4, 8])
    assert.deepEqual(
      [0, 3, 4, 7, 8, 11, 12, 15].map((offset) => page.isReadable(offset)),
      [true, true, false, false, true, true, false, false],
    )
  })
})
