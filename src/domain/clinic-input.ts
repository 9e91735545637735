import { z } from 'zod';
import { startFromInput } from './start-from.ts';

const secret = z.string().min(1, 'must not be empty').max(16_384, 'must be 16,384 characters at most');

/** An http or https URL that carries no user and no password. */
export const httpUrl = z.string().refine((text) => {
  const url = URL.canParse(text) ? new URL(text) : null;
  return url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
}, 'must be an http or https URL without a user');

export const clinicName = z
  .string()
  .regex(/^[^\p{C}]{1,200}$/u, 'must be 1 to 200 characters that can be shown')
  .refine((name) => name.trim() === name, 'must not begin or end with a space');

/** A clinic as a person describes it, in the file and in the API: a pair of tokens, or where to ask for one. */
export const clinicInput = z
  .strictObject({
    name: clinicName,
    accessToken: secret.optional(),
    refreshToken: secret.optional(),
    tokenUrl: httpUrl.optional(),
    tokenUrlSecret: secret.optional(),
    startFrom: startFromInput.optional(),
  })
  .superRefine((given, context) => {
    const hasPair = given.accessToken !== undefined && given.refreshToken !== undefined;
    const hasPart = given.accessToken !== undefined || given.refreshToken !== undefined;
    if (given.tokenUrl === undefined ? !hasPair : hasPart) {
      context.addIssue({
        code: 'custom',
        message: 'needs either accessToken and refreshToken, or tokenUrl',
      });
    }
    if (given.tokenUrl === undefined && given.tokenUrlSecret !== undefined) {
      context.addIssue({ code: 'custom', path: ['tokenUrlSecret'], message: 'stands without tokenUrl' });
    }
  });

export type ClinicInput = z.infer<typeof clinicInput>;

/** What an access token is worth whose age nobody told the relay: it is used until the vendor refuses it. */
export const assumedTokenLifeMs = 2 * 3_600_000;
