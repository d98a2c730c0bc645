import type { Binding } from './binding.ts'
import type { DeclaredQueue } from './declared-queue.ts'
import type { Exchange } from './exchange.ts'

/**
 * What goes when something goes: the thing itself and every auto-delete exchange that loses its last binding with it,
 * and so on from there. Decided once, when the record is made, because transient bindings count too and a replay does
 * not know them. Bindings of what goes are not listed: they go by themselves.
 */
export function removalOf(first: DeclaredQueue | Exchange | Binding): readonly number[] {
  const gone = new Set<number>([first.id])
  const lost = new Map<Exchange, number>()
  const work: (DeclaredQueue | Exchange)[] = []

  const lose = (binding: Binding): void => {
    const { source } = binding
    if (!source.isAutoDelete || source.isGone) return
    const count = (lost.get(source) ?? 0) + 1
    lost.set(source, count)
    if (count < source.bindingCount || gone.has(source.id)) return
    gone.add(source.id)
    work.push(source)
  }

  if (first.kind === 'binding') lose(first)
  else work.push(first)
  for (let next = work.pop(); next !== undefined; next = work.pop()) {
    for (const binding of next.incoming) lose(binding)
  }
  return [...gone]
}
