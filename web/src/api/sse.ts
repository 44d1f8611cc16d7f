export interface Message {
  id: string | null
  event: string
  data: string
}

/** Parses server-sent events (WHATWG standard) from chunks of text that may break anywhere. */
export class Reader {
  private rest = ''
  private event = ''
  private data: string[] = []
  /** The id of the last event that has one, to resume after a disconnect. */
  lastId: string | null = null
  private pendingId: string | null = null

  push(piece: string): Message[] {
    const text = this.rest + piece
    const out: Message[] = []
    let from = 0
    for (;;) {
      const next = /\r\n|\n|\r/g
      next.lastIndex = from
      const end = next.exec(text)
      // A CR at the end may be the first half of CRLF.
      if (!end || (end[0] === '\r' && end.index === text.length - 1)) break
      const done = this.line(text.slice(from, end.index))
      if (done) out.push(done)
      from = end.index + end[0].length
    }
    this.rest = text.slice(from)
    return out
  }

  private line(line: string): Message | null {
    if (line === '') return this.dispatch()
    if (line.startsWith(':')) return null
    const colon = line.indexOf(':')
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + (line[colon + 1] === ' ' ? 2 : 1))
    if (field === 'event') this.event = value
    else if (field === 'data') this.data.push(value)
    else if (field === 'id' && !value.includes('\0')) this.pendingId = value
    return null
  }

  private dispatch(): Message | null {
    const { event, data, pendingId } = this
    this.event = ''
    this.data = []
    if (pendingId !== null) this.lastId = pendingId
    this.pendingId = null
    if (data.length === 0) return null
    return { id: this.lastId, event: event || 'message', data: data.join('\n') }
  }
}
