import { z } from 'zod';

/** How an S3-compatible store that is not AWS is reached. Credentials are never part of it: they come from the usual chain. */
export const s3Schema = z
  .strictObject({
    /** `https://minio.example:9000`; absent for AWS. */
    endpoint: z
      .string()
      .refine(
        (text) => URL.canParse(text) && ['http:', 'https:'].includes(new URL(text).protocol),
        'not a URL (expected http://host:port or https://host:port)',
      )
      .refine(
        (text) => !URL.canParse(text) || new URL(text).username + new URL(text).password === '',
        'holds credentials; take them out: they come from the environment or ~/.aws',
      )
      .optional(),
    region: z.string().min(1).optional(),
    /** The bucket's name stands in the path and not in the host's name: what most stores that are not AWS want. */
    forcePathStyle: z.boolean().optional(),
    /** The CAs of which one must have signed the store's certificate, in place of the public ones; PEM. */
    caFile: z.string().min(1).optional(),
  })
  .superRefine(({ endpoint, caFile }, context) => {
    if (caFile !== undefined && endpoint?.startsWith('http:'))
      context.addIssue({
        code: 'custom',
        path: ['caFile'],
        message: 'has no effect with http://, which is without TLS; say https:// in the endpoint',
      });
  });

export type S3Settings = z.infer<typeof s3Schema>;
