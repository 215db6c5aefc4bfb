import type { ServiceName, ServiceSettings } from '../../config/profile.js';
import { commandDriver } from './command-driver.js';
import type { ServiceDriver } from './driver.js';
import { processDriver } from './process-driver.js';

/** The driver that a profile's settings ask for. */
export function driverFor(service: ServiceName, settings: ServiceSettings): ServiceDriver {
  return settings.driver === 'command' ? commandDriver(service, settings) : processDriver(service, settings);
}
