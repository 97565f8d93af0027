#!/bin/sh
postconf -e 'smtpd_soft_error_limit = 5'
