export async function fsck(_d: string, _o: unknown): Promise<number> { return 2 }
