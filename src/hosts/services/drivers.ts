import type { ServiceName, ServiceSettings } from '../../config/profile.js';
import { HERE, type Host } from '../host.js';
import { commandDriver } from './command-driver.js';
import type { ServiceDriver } from './driver.js';
import { processDriver } from './process-driver.js';

/** The driver that a profile's settings ask for. */
export function driverFor(service: ServiceName, settings: ServiceSettings, host: Host = HERE): ServiceDriver {
  switch (settings.driver) {
    case 'command':
      return commandDriver(service, settings, host);
    case 'process':
      return processDriver(service, settings);
    default:
      throw new Error(`the driver ${settings.driver} for ${host.title} is not written yet`);
  }
}
