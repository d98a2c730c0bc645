/**
 * What the page knows besides its data: who, where, in which language. A change draws the page anew from its root; there
 * are few such values, and they change when somebody does something.
 */
export interface Signal<T> {
  value: T
}

let draw: () => void = () => {}
let isAsked = false

/** Calls it in the turn after values have changed, once for all of them. */
export function whenChanged(call: () => void): void {
  draw = call
}

export function signal<T>(first: T): Signal<T> {
  let held = first
  return {
    get value(): T {
      return held
    },
    set value(next: T) {
      if (Object.is(held, next)) return
      held = next
      if (isAsked) return
      isAsked = true
      void Promise.resolve().then(() => {
        isAsked = false
        draw()
      })
    },
  }
}
