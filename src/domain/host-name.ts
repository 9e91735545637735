/** Names by which clouds serve a machine's own credentials. */
const metadataNames = new Set([
  'metadata',
  'metadata.google.internal',
  'metadata.goog',
  'instance-data',
  'instance-data.ec2.internal',
]);

/** Top labels that the public DNS does not serve, so that such a name can only mean something local. */
const privateTopLabels = new Set([
  'corp',
  'home',
  'internal',
  'intranet',
  'invalid',
  'lan',
  'local',
  'localdomain',
  'localhost',
  'onion',
  'private',
  'svc',
  'test',
]);

const labelShape = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;

/**
 * The name as the DNS has it: lower case, punycode, no dot at the end. `null` when it is
 * no host name: an empty label or one over 63 characters, over 253 in all, a hyphen at
 * the edge of a label, or an address.
 */
export function normalHostName(text: string): string | null {
  if (text.length > 1000 || /[\s/?#@:%\\[\]]/.test(text)) return null;
  let host: string;
  try {
    host = new URL(`http://${text}`).hostname;
  } catch {
    return null;
  }
  if (host.endsWith('.')) host = host.slice(0, -1);
  const labels = host.split('.');
  if (host.length > 253 || !labels.every((label) => labelShape.test(label))) return null;
  return /^[0-9]+$/.test(labels.at(-1) ?? '') ? null : host;
}

export function isMetadataName(host: string): boolean {
  return metadataNames.has(host);
}

/** A name that means something in the operator's network only: one label, or a private top label. */
export function isPrivateName(host: string): boolean {
  const labels = host.split('.');
  return labels.length === 1 || privateTopLabels.has(labels.at(-1) ?? '') || host.endsWith('.home.arpa');
}
