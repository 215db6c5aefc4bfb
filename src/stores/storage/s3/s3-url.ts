/** `s3://bucket/folder/file` → its bucket, and `folder/file`. */
export function locate(url: string): { bucket: string; key: string } {
  const [, bucket = '', key = ''] = /^s3:\/\/([^/]+)\/?(.*)$/s.exec(url) ?? [];
  return { bucket, key };
}
