import { carryKey } from '../api/client'

const place = 'baton.key'

/** The key is kept in session storage, so it is gone when the tab is closed. */
export const session = {
  key: (): string | null => sessionStorage.getItem(place),
  begin(key: string, onEnd: () => void): void {
    sessionStorage.setItem(place, key)
    carryKey(key, onEnd)
  },
  end(): void {
    sessionStorage.removeItem(place)
    carryKey(null)
  },
}
