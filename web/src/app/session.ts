import { carryKey } from '../api/client'

const place = 'baton.key'

/** The key lives as long as the tab: a stolen disk tells nothing. */
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
