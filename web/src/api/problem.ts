/** An error response of the server (RFC 9457), with a stable code and a hint. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly hint?: string,
    readonly run?: string,
  ) {
    super(detail)
    this.name = 'Problem'
  }

  /** No response: no connection, or the server is down. */
  static unreachable(): Problem {
    return new Problem(0, 'UNREACHABLE', '')
  }

  static async of(response: Response): Promise<Problem> {
    const body = await response.json().catch(() => null)
    const field = (name: string): string | undefined => {
      const value = body && typeof body === 'object' ? (body as Record<string, unknown>)[name] : undefined
      return typeof value === 'string' ? value : undefined
    }
    return new Problem(
      response.status,
      field('code') ?? `HTTP ${response.status}`,
      field('detail') ?? field('title') ?? response.statusText,
      field('hint'),
      field('execution_id'),
    )
  }

  get refusedKey(): boolean {
    return this.status === 401
  }
  get noRight(): boolean {
    return this.status === 403
  }
  get conflict(): boolean {
    return this.status === 409
  }
}
