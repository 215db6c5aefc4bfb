import type { ServiceName, ServiceSettings } from '../../config/profile.js';
import { HERE, type Host } from '../host.js';
import { commandDriver } from './command-driver.js';
import { composeDriver } from './compose-driver.js';
import type { ServiceDriver } from './driver.js';
import { kubernetesDriver } from './kubernetes-driver.js';
import { processDriver } from './process-driver.js';
import { systemdDriver } from './systemd-driver.js';

/** The driver that a profile's settings ask for; `host`: the machine where its commands run. */
export function driverFor(service: ServiceName, settings: ServiceSettings, host: Host = HERE): ServiceDriver {
  switch (settings.driver) {
    case 'command':
      return commandDriver(service, settings, host);
    case 'process':
      return processDriver(service, settings);
    case 'compose':
      return composeDriver(service, settings, host);
    case 'systemd':
      return systemdDriver(service, settings, host);
    case 'kubernetes':
      return kubernetesDriver(service, settings, host);
  }
}
